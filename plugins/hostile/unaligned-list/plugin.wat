;; Attack: a list of numbers at an odd place. Answered by the canonical ABI, which checks every place.
;; Plays: metric

(func (export "metric#compute") (result i32) (local $out i32)
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (i32.const 17))
  (i32.store offset=8 (local.get $out) (i32.const 1))
  (local.get $out))
