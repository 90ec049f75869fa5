;; Attack: logs lines that look like the host's own, with line breaks, colours and a change of direction. Answered by making one
;; safe line of it, under its name.
;; Plays: loss

(text $line "ok\0aerror: the disk is full\0d\1b[2J\1b[31mhelp: run this as root\e2\80\ae\00")
(func $numerator (param $logits i32) (result i32)
  (call $logging.log (i32.const 4) (global.get $line) (global.get $line.len) (i32.const 0) (i32.const 0))
  (call $tensor.sum (local.get $logits) (i32.const 0) (i32.const 0) (i32.const 0)))
