;; Attack: an error with a hundred thousand contexts. Answered by the bounds on errors.
;; Plays: preprocessor

(text $words (for 1 10 "error: # "))
(func (export "preprocessor#process") (param i32 i32) (result i32) (local $out i32) (local $list i32) (local $n i32)
  (local.set $list (call $take (i32.const 800000)))
  (loop $next
    (i32.store (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 8))) (global.get $words))
    (i32.store offset=4 (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 8))) (global.get $words.len))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $n) (i32.const 50000))))
  (local.set $out (call $error (i32.const 1) (global.get $words) (global.get $words.len)))
  (i32.store offset=16 (local.get $out) (local.get $list))
  (i32.store offset=20 (local.get $out) (i32.const 50000))
  (local.get $out))
