;; Attack: one of four billion classes. Answered by the checks of every operation, before memory is taken.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.one-hot (call $tensor.arange (i64.const 0) (i64.const 3) (i64.const 1)) (i32.const -1)))
