;; Attack: drops a tensor twice. Answered by the table of handles.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $drop.tensor (local.get $logits))
  (call $drop.tensor (local.get $logits))
  (call $number (f64.const 1)))
