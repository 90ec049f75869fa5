;; Mistake: a loss that does not depend on the model. Answered by asking for a gradient.
;; Plays: loss

(func $numerator (param $logits i32) (result i32) (call $tensor.detach (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0))))
