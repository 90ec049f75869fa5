;; Attack: returns a handle that it was never given. Answered by the table of handles.
;; Plays: loss

(func $numerator (param $logits i32) (result i32) (i32.const 12345))
