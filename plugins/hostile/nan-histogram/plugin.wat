;; Attack: a histogram between bounds that are no numbers. Answered by the checks of every operation.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.histogram (local.get $logits) (i32.const 10) (f64.const nan) (f64.const nan) (i32.const 0) (i32.const 0)))
