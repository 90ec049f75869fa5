;; Attack: the four billion largest of twelve. Answered by the checks of every operation.
;; Plays: loss

(text $shape "\00\00\00\00\00\00\00\00")
(func $numerator (param $logits i32) (result i32)
  (call $tensor.top-k (local.get $logits) (i32.const -1) (i32.const 0) (global.get $shape))
  (i32.load (global.get $shape)))
