;; Attack: the mean of a tensor without elements. Answered by the checks of every operation.
;; Plays: loss

(text $shape "\00\00\00\00\04\00\00\00")
(func $numerator (param $logits i32) (result i32)
  (call $tensor.mean (call $tensor.full (global.get $shape) (i32.const 2) (f64.const 1) (i32.const 0)) (i32.const 0) (i32.const 0) (i32.const 0)))
