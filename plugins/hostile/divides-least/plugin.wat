;; Attack: divides the least integer by -1, whose result no integer holds. Answered by the checks of every operation.
;; Plays: loss

(func $whole (param $value f64) (result i32)
  (call $tensor.full (i32.const 0) (i32.const 0) (local.get $value) (i32.const 4)))

(func $numerator (param $logits i32) (result i32)
  (call $tensor.div (call $whole (f64.const -9223372036854775808)) (call $whole (f64.const -1))))
