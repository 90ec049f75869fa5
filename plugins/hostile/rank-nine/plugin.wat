;; Attack: reshapes to nine dimensions. Answered by the checks of every operation.
;; Plays: loss

(text $shape (for 1 9 "\01\00\00\00"))
(func $numerator (param $logits i32) (result i32)
  (call $tensor.reshape (local.get $logits) (global.get $shape) (i32.const 9)))
