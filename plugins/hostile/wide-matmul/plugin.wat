;; Attack: a product that broadcasts to terabytes. Answered by the checks of every operation, before memory is taken.
;; Plays: loss
;; Limits: {"deadline_ms": 600000}

(text $column "\e8\03\00\00" "\e8\03\00\00" "\01\00\00\00")
(text $row "\01\00\00\00" "\01\00\00\00" "\40\42\0f\00")
(func $numerator (param $logits i32) (result i32)
  (call $tensor.matmul
    (call $tensor.full (global.get $column) (i32.const 3) (f64.const 1) (i32.const 0))
    (call $tensor.full (global.get $row) (i32.const 3) (f64.const 1) (i32.const 0))))
