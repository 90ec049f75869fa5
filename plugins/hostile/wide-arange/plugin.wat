;; Attack: counts to nine quintillions. Answered by the checks of every operation, before memory is taken.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.arange (i64.const 0) (i64.const 0x7fffffffffffffff) (i64.const 1)))
