;; Mistake: a row with two fields of one name. Answered by the name.
;; Plays: preprocessor

(text $words "a")
(func $rewrite (param $row i32) (local $list i32)
  (local.set $list (call $take (i32.const 48)))
  (call $fielded (local.get $list) (i32.const 4) (global.get $words) (global.get $words.len))
  (call $fielded (i32.add (local.get $list) (i32.const 24)) (i32.const 4) (global.get $words) (global.get $words.len))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 2)))
