;; Attack: logs ten thousand lines of two kilobytes in each call. Answered by the bounds on lines, of a call and of a use.
;; Plays: loss

(text $line (for 1 200 "the same words "))
(func $numerator (param $logits i32) (result i32) (local $n i32)
  (loop $next
    (call $logging.log (i32.const 4) (global.get $line) (global.get $line.len) (i32.const 0) (i32.const 0))
    (local.set $n (i32.add (local.get $n) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $n) (i32.const 10000))))
  (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0)))
