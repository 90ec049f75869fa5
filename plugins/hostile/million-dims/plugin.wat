;; Attack: sums over a million dimensions. Answered by the checks of every operation, whose words are bounded.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $tensor.sum (local.get $logits) (call $take (i32.const 4000000)) (i32.const 1000000) (i32.const 0)))
