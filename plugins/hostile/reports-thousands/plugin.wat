;; Attack: reports five thousand numbers a step. Answered by the bound on names.
;; Plays: loss

(text $names (for 1 5000 "name#_"))
(func $reported (param $list i32) (local $place i32) (local $n i32)
  (local.set $place (call $take (i32.const 80000)))
  (loop $next
    (call $one (i32.add (local.get $place) (i32.mul (local.get $n) (i32.const 16))) (local.get $n))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $n) (i32.const 5000))))
  (i32.store (local.get $list) (local.get $place))
  (i32.store offset=4 (local.get $list) (local.get $n)))
(func $one (param $place i32) (param $n i32)
  (i32.store (local.get $place) (i32.add (global.get $names) (local.get $n)))
  (i32.store offset=4 (local.get $place) (i32.const 12))
  (i32.store offset=8 (local.get $place) (call $number (f64.const 1)))
  (i32.store offset=12 (local.get $place) (call $number (f64.const 1))))
