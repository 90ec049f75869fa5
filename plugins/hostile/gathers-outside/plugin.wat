;; Attack: gathers from the ninth column of four. Answered by the checks of every operation.
;; Plays: loss

(text $shape "\03\00\00\00\01\00\00\00")
(func $numerator (param $logits i32) (result i32)
  (call $tensor.gather (local.get $logits) (i32.const 1)
    (call $tensor.full (global.get $shape) (i32.const 2) (f64.const 9) (i32.const 4))))
