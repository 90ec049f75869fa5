;; Attack: keeps nothing, and gives a text of six mebibytes at the end of a file. Answered by the bound on texts, before it is tokenised.
;; Plays: preprocessor

(global $stateful i32 (i32.const 1))
(func (export "preprocessor#finish") (result i32) (local $out i32) (local $row i32) (local $list i32)
  (local.set $list (call $take (i32.const 24)))
  (call $fielded (local.get $list) (i32.const 4) (call $take (i32.const 0x600000)) (i32.const 0x600000))
  (memory.fill (i32.load offset=16 (local.get $list)) (i32.const 0x61) (i32.const 0x600000))
  (local.set $row (call $take (i32.const 12)))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 1))
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (local.get $row))
  (i32.store offset=8 (local.get $out) (i32.const 1))
  (local.get $out))
