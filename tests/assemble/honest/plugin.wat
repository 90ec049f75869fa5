;; What every plugin has: memory that is handed out and never taken back, a schema without keys, and an `init`.

;; A place of this many bytes, all zero, at a multiple of 16.
(func $take (param $size i32) (result i32) (local $place i32) (local $more i32)
  (local.set $place (global.get $heap))
  (global.set $heap (i32.and (i32.add (i32.add (local.get $place) (local.get $size)) (i32.const 15)) (i32.const -16)))
  (local.set $more (i32.sub (i32.add (i32.shr_u (global.get $heap) (i32.const 16)) (i32.const 1)) (memory.size)))
  (if (i32.gt_s (local.get $more) (i32.const 0))
    (then (if (i32.lt_s (memory.grow (local.get $more)) (i32.const 0)) (then unreachable))))
  (local.get $place))

(func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
  (local $place i32)
  (local.set $place (call $take (local.get $size)))
  (memory.copy (local.get $place) (local.get $old) (local.get $was))
  (local.get $place))

;; A text or a list, as a function gives it: its place and its length.
(func $pair (param $from i32) (param $length i32) (result i32) (local $place i32)
  (local.set $place (call $take (i32.const 8)))
  (i32.store (local.get $place) (local.get $from))
  (i32.store offset=4 (local.get $place) (local.get $length))
  (local.get $place))

;; `ok` of a result; what it holds is to be written from byte 4 on.
(func $ok (result i32) (call $take (i32.const 32)))

;; `err` of a result: an error of this kind with this message.
(func $error (param $kind i32) (param $from i32) (param $length i32) (result i32) (local $place i32)
  (local.set $place (call $take (i32.const 32)))
  (i32.store8 (local.get $place) (i32.const 1))
  (i32.store8 offset=4 (local.get $place) (local.get $kind))
  (i32.store offset=8 (local.get $place) (local.get $from))
  (i32.store offset=12 (local.get $place) (local.get $length))
  (local.get $place))

(text $schema `{"type":"object","additionalProperties":false}`)
(func (export "plugin#config-schema") (result i32) (call $pair (global.get $schema) (global.get $schema.len)))
(func (export "plugin#init") (param $config i32) (param $length i32) (param $seed i64) (result i32) (call $ok))
