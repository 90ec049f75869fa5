;; Mistake: a field declared as JSON that is none. Answered by the parser.
;; Plays: preprocessor

(text $words "{")
(func $rewrite (param $row i32) (local $list i32)
  (local.set $list (call $take (i32.const 24)))
  (call $fielded (local.get $list) (i32.const 8) (global.get $words) (global.get $words.len))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 1)))
