;; Attack: copies the logits out of the host again and again. Answered by the limit on what is copied out.
;; Plays: loss

(text $shape "\00\00\00\01")
(func $numerator (param $logits i32) (result i32)
  (call $tensor.to-float32
    (call $tensor.full (global.get $shape) (i32.const 1) (f64.const 1) (i32.const 0)) (call $take (i32.const 16)))
  (local.get $logits))
