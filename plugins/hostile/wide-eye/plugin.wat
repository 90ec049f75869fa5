;; Attack: an identity of four billion rows. Answered by the checks of every operation, before memory is taken.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.eye (i32.const -1) (i32.const 0)))
