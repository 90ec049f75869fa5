;; Attack: a row with one text of six mebibytes, for the tokenizer. Answered by the bound on texts, before it is tokenised.
;; Plays: preprocessor

(func $rewrite (param $row i32) (local $list i32)
  (if (i32.load (local.get $row)) (then return))
  (local.set $list (call $take (i32.const 24)))
  (call $fielded (local.get $list) (i32.const 4) (call $letters) (i32.const 0x600000))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 1)))
(func $letters (result i32) (local $place i32)
  (local.set $place (call $take (i32.const 0x600000)))
  (memory.fill (local.get $place) (i32.const 0x61) (i32.const 0x600000))
  (local.get $place))
