;; Attack: a list whose size in bytes is more than 32 bits hold, so that it wraps around to a small one. Answered by the
;; canonical ABI, which multiplies without wrapping.
;; Plays: policy

(func (export "policy#decide")
  (param i32 i32 i32 i32 i64 i32 i64 i32 f64 i32 i32) (result i32) (local $out i32)
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (i32.const 16))
  (i32.store offset=8 (local.get $out) (i32.const 0x06666667))
  (local.get $out))
