;; Attack: returns the batch in place of a tensor. Answered by the table of handles, which knows what each is of.
;; Plays: loss

(global $batch (mut i32) (i32.const 0))
(func (export "loss#compute")
  (param $batch i32) (param i32) (param i64) (param i32) (param i64) (result i32) (local $out i32)
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (local.get $batch))
  (i32.store offset=8 (local.get $out) (call $number (f64.const 1)))
  (local.get $out))
