;; Mistake: a value under a name that changes from call to call. Answered by the names it has promised.
;; Plays: metric

(text $other "other")
(global $asked (mut i32) (i32.const 0))
(func (export "metric#compute") (result i32) (local $out i32) (local $list i32)
  (local.set $list (call $take (i32.const 16)))
  (i32.store (local.get $list) (select (global.get $other) (global.get $value) (global.get $asked)))
  (i32.store offset=4 (local.get $list) (i32.const 5))
  (global.set $asked (i32.const 1))
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (local.get $list))
  (i32.store offset=8 (local.get $out) (i32.const 1))
  (local.get $out))
