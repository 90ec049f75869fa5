;; Attack: a slice of steps of nothing. Answered by the checks of every operation.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.slice (local.get $logits) (i32.const 0) (i64.const 0) (i64.const 3) (i32.const 0)))
