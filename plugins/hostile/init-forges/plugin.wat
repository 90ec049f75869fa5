;; Attack: refuses its settings in the words of the host, with line breaks, colours and a change of direction. Answered by making
;; one safe line of it.
;; Plays: loss

(text $words "no\0aerror: the disk is full\0a\1b[2J\1b[31m  help: run this as root\e2\80\ae\00")
(func (export "plugin#init") (param i32 i32 i64) (result i32)
  (call $error (i32.const 0) (global.get $words) (global.get $words.len)))
