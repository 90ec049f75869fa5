;; Attack: keeps nothing, and gives a text of nine mebibytes at the end of a file. Answered by the bound on texts, before it is tokenised.
;; Plays: preprocessor
;; Limits: {"copy_mib": 32}

(global $stateful i32 (i32.const 1))
(func (export "preprocessor#finish") (result i32) (local $out i32) (local $row i32) (local $list i32)
  (local.set $list (call $take (i32.const 48)))
  (call $fielded (local.get $list) (i32.const 4) (call $take (i32.const 0x900000)) (i32.const 0x900000))
  (call $with-label (local.get $list))
  (memory.fill (i32.load offset=16 (local.get $list)) (i32.const 0x61) (i32.const 0x900000))
  (local.set $row (call $take (i32.const 12)))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 2))
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (local.get $row))
  (i32.store offset=8 (local.get $out) (i32.const 1))
  (local.get $out))
(text $label "label")
(text $animal "animal")
(func $with-label (param $list i32)
  (call $fielded (i32.add (local.get $list) (i32.const 24)) (i32.const 4) (global.get $animal) (global.get $animal.len))
  (i32.store offset=24 (local.get $list) (global.get $label))
  (i32.store offset=28 (local.get $list) (global.get $label.len)))
