;; Attack: a thousand gathers of one element each, the backward pass of each of which makes a tensor of the whole. Answered by charging
;; for the backward pass as well.
;; Plays: loss

(text $shape "\00\00\40\00")
(text $one "\01\00\00\00")
(func $numerator (param $logits i32) (result i32) (local $wide i32) (local $sum i32) (local $n i32)
  (local.set $sum (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0)))
  (local.set $wide (call $tensor.mul
    (call $tensor.full (global.get $shape) (i32.const 1) (f64.const 1) (i32.const 0)) (local.get $sum)))
  (loop $next
    (local.set $sum (call $tensor.add (local.get $sum) (call $tensor.sum
      (call $tensor.gather (local.get $wide) (i32.const 0)
        (call $tensor.full (global.get $one) (i32.const 1) (f64.const 0) (i32.const 4)))
      (i32.const 0) (i32.const 0) (i32.const 0))))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $n) (i32.const 200))))
  (local.get $sum))
