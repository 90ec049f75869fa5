;; Attack: a row of a thousand fields. Answered by the bound on fields.
;; Plays: preprocessor

(text $names (for 1 1000 "name#_"))
(func $rewrite (param $row i32) (local $list i32)
  (local.set $list (call $take (i32.const 24000)))
  (call $names (local.get $list))
  (i32.store offset=4 (local.get $row) (local.get $list))
  (i32.store offset=8 (local.get $row) (i32.const 1000)))
(func $names (param $list i32) (local $n i32)
  (loop $next
    (call $fielded (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 24))) (i32.const 4) (i32.const 16) (i32.const 0))
    (i32.store (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 24))) (i32.add (global.get $names) (local.get $n)))
    (i32.store offset=4 (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 24))) (i32.const 12))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $n) (i32.const 1000)))))
