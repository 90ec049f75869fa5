;; Attack: a histogram of all the numbers that its quota allows, which would take three times as much if it were made at once. Answered by
;; an operation that works in parts, and says before what it needs.
;; Plays: loss

(text $shape "\00\00\e0\00")
(func $numerator (param $logits i32) (result i32)
  (call $tensor.histogram
    (call $tensor.uniform (global.get $shape) (i32.const 1) (f64.const 0) (f64.const 1) (i64.const 7))
    (i32.const 10) (f64.const 0) (f64.const 1) (i32.const 0) (i32.const 0)))
