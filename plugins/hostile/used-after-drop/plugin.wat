;; Attack: uses a tensor that it has dropped. Answered by the table of handles.
;; Plays: loss

(func $numerator (param $logits i32) (result i32)
  (call $drop.tensor (local.get $logits))
  (call $tensor.neg (local.get $logits)))
