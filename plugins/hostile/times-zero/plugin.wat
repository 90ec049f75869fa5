;; Mistake: a loss times zero, which teaches nothing. Answered by a warning once every gradient has been zero for some steps.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.mul-scalar (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0)) (f64.const 0)))
