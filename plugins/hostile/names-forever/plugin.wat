;; Attack: asks for sixty thousand inputs. Answered by the bound on names.
;; Plays: loss

(text $names (for 1 10000 "name#_"))
(func (export "loss#wants") (result i32) (local $list i32) (local $n i32)
  (local.set $list (call $take (i32.const 720000)))
  (loop $next
    (i32.store (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 12))) (i32.add (global.get $names) (local.get $n)))
    (i32.store offset=4 (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 12))) (i32.const 12))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $n) (i32.const 60000))))
  (call $pair (local.get $list) (i32.const 60000)))
