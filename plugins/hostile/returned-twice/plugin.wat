;; Attack: returns one tensor as numerator and denominator at once. Answered by the table of handles: what is returned is given away.
;; Plays: loss

(global $kept (mut i32) (i32.const 0))
(func $numerator (param $logits i32) (result i32)
  (global.set $kept (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0)))
  (global.get $kept))
(func $denominator (param $logits i32) (result i32) (global.get $kept))
