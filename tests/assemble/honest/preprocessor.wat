;; A preprocessor: every row as it came.

(text $field "text")
(global $stateful i32 (i32.const 0))
(func (export "preprocessor#describe") (result i32) (local $out i32) (local $names i32)
  (local.set $names (call $pair (global.get $field) (global.get $field.len)))
  (local.set $out (call $take (i32.const 20)))
  (i32.store (local.get $out) (local.get $names))
  (i32.store offset=4 (local.get $out) (i32.const 1))
  (i32.store offset=8 (local.get $out) (local.get $names))
  (i32.store offset=12 (local.get $out) (i32.const 1))
  (i32.store8 offset=16 (local.get $out) (global.get $stateful))
  (local.get $out))

(func (export "preprocessor#process") (param $batch i32) (param $length i32) (result i32)
  (local $out i32) (local $rows i32) (local $n i32) (local $row i32) (local $sample i32)
  (local.set $rows (call $take (i32.mul (local.get $length) (i32.const 12))))
  (loop $next
    (if (i32.lt_u (local.get $n) (local.get $length))
      (then
        (local.set $row (i32.add (local.get $rows) (i32.mul (local.get $n) (i32.const 12))))
        (local.set $sample (i32.add (local.get $batch) (i32.mul (local.get $n) (i32.const 24))))
        (i32.store (local.get $row) (local.get $n))
        (i32.store offset=4 (local.get $row) (i32.load offset=16 (local.get $sample)))
        (i32.store offset=8 (local.get $row) (i32.load offset=20 (local.get $sample)))
        (call $rewrite (local.get $row))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next))))
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (local.get $rows))
  (i32.store offset=8 (local.get $out) (local.get $n))
  (local.get $out))

;; Changes an output: its source at byte 0, place and length of its fields from byte 4 on.
(func $rewrite (param $row i32))

;; Makes a field of this text: `kind` 4 is text, 8 is JSON.
(func $fielded (param $place i32) (param $kind i32) (param $from i32) (param $length i32)
  (i32.store (local.get $place) (global.get $field))
  (i32.store offset=4 (local.get $place) (global.get $field.len))
  (i32.store8 offset=8 (local.get $place) (local.get $kind))
  (i32.store offset=16 (local.get $place) (local.get $from))
  (i32.store offset=20 (local.get $place) (local.get $length)))

(func (export "preprocessor#finish") (result i32) (call $ok))
