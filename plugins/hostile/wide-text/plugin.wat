;; Attack: a row with one text of nine mebibytes, for the tokenizer. Answered by the bound on texts, before it is tokenised.
;; Plays: preprocessor
;; Limits: {"copy_mib": 32}

(func $rewrite (param $row i32) (local $list i32)
  (if (i32.load (local.get $row)) (then return))
  (local.set $list (call $take (i32.const 48)))
  (call $fielded (local.get $list) (i32.const 4) (call $letters) (i32.const 0x900000))
  (call $with-label (local.get $list))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 2)))
(text $label "label")
(text $animal "animal")
(func $with-label (param $list i32)
  (call $fielded (i32.add (local.get $list) (i32.const 24)) (i32.const 4) (global.get $animal) (global.get $animal.len))
  (i32.store offset=24 (local.get $list) (global.get $label))
  (i32.store offset=28 (local.get $list) (global.get $label.len)))
(func $letters (result i32) (local $place i32)
  (local.set $place (call $take (i32.const 0x900000)))
  (memory.fill (local.get $place) (i32.const 0x61) (i32.const 0x900000))
  (local.get $place))
