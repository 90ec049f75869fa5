;; Attack: a histogram of four billion bins. Answered by the checks of every operation, before memory is taken.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.histogram (local.get $logits) (i32.const -1) (f64.const 0) (f64.const 1) (i32.const 0) (i32.const 0)))
