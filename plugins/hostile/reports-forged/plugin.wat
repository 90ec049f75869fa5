;; Attack: reports a number whose name is a line of the host. Answered by the bound on names, which are one safe line.
;; Plays: loss

(text $name "loss\0aerror: the disk is full\1b[31m")
(func $reported (param $list i32) (local $place i32) (local $n i32)
  (local.set $place (call $take (i32.const 16)))
  (loop $next
    (call $one (i32.add (local.get $place) (i32.mul (local.get $n) (i32.const 16))) (local.get $n))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $n) (i32.const 1))))
  (i32.store (local.get $list) (local.get $place))
  (i32.store offset=4 (local.get $list) (local.get $n)))
(func $one (param $place i32) (param $n i32)
  (i32.store (local.get $place) (global.get $name))
  (i32.store offset=4 (local.get $place) (global.get $name.len))
  (i32.store offset=8 (local.get $place) (call $number (f64.const 1)))
  (i32.store offset=12 (local.get $place) (call $number (f64.const 1))))
