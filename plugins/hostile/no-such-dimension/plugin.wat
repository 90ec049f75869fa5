;; Attack: sums over a dimension that is not there. Answered by the checks of every operation.
;; Plays: loss

(text $dims "\00\00\00\80")
(func $numerator (param $logits i32) (result i32)
  (call $tensor.sum (local.get $logits) (global.get $dims) (i32.const 1) (i32.const 0)))
