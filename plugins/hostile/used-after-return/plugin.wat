;; Attack: keeps the number of a handle that it has returned, and uses it in the next call. Answered by the table
;; of handles: something else of its own has that number by then.
;; Plays: loss

(global $kept (mut i32) (i32.const 0))
(func $numerator (param $logits i32) (result i32)
  (if (global.get $kept) (then (return (call $tensor.neg (global.get $kept)))))
  (global.set $kept (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0)))
  (global.get $kept))
