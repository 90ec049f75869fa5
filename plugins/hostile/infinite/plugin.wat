;; Mistake: a loss that is infinite. Answered by the training loop, which stops at the step.
;; Run: is inf on rows
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.mul-scalar (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0)) (f64.const inf)))
