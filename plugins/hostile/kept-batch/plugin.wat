;; Attack: keeps the batch of one call, and asks it for logits in the next. Answered by emptying what was lent.
;; Plays: loss

(global $kept (mut i32) (i32.const 0))
(func (export "loss#compute")
  (param $batch i32) (param i32) (param i64) (param i32) (param i64) (result i32) (local $out i32) (local $found i32)
  (if (i32.eqz (global.get $kept)) (then (global.set $kept (local.get $batch))))
  (local.set $found (call $take (i32.const 8)))
  (call $batch.get (global.get $kept) (global.get $logits) (global.get $logits.len) (local.get $found))
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (call $numerator (i32.load offset=4 (local.get $found))))
  (i32.store offset=8 (local.get $out) (call $number (f64.const 1)))
  (local.get $out))
