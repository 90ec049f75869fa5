;; Attack: a tensor whose number of elements is more than 64 bits hold. Answered by the checks of every operation, before memory is taken.
;; Plays: loss

(text $shape (for 1 4 "\ff\ff\ff\ff"))
(func $numerator (param $logits i32) (result i32)
  (call $tensor.full (global.get $shape) (i32.const 4) (f64.const 1) (i32.const 0)))
