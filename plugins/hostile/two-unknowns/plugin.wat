;; Attack: reshapes with two sizes left open. Answered by the checks of every operation.
;; Plays: loss

(text $shape (for 1 8 "\ff"))
(func $numerator (param $logits i32) (result i32)
  (call $tensor.reshape (local.get $logits) (global.get $shape) (i32.const 2)))
