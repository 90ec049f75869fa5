;; Attack: a field of a hundred thousand nested lists, to use up the stack of whoever reads it. Answered by the parser's own bound.
;; Plays: preprocessor

(text $words (for 1 100000 `[`) (for 1 100000 `]`))
(func $rewrite (param $row i32) (local $list i32)
  (local.set $list (call $take (i32.const 24)))
  (call $fielded (local.get $list) (i32.const 8) (global.get $words) (global.get $words.len))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 1)))
