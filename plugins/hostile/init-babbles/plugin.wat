;; Attack: refuses its settings with an explanation of a megabyte. Answered by the bound on sentences.
;; Plays: loss

(text $words (for 1 100000 "word # "))
(func (export "plugin#init") (param i32 i32 i64) (result i32)
  (call $error (i32.const 0) (global.get $words) (global.get $words.len)))
