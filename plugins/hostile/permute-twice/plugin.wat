;; Attack: puts one dimension in two places. Answered by the checks of every operation.
;; Plays: loss

(text $dims (for 1 8 "\00"))
(func $numerator (param $logits i32) (result i32)
  (call $tensor.permute (local.get $logits) (global.get $dims) (i32.const 2)))
