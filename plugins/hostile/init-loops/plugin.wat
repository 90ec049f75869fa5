;; Attack: loops in `init`. Answered by the deadline.
;; Plays: policy

(func (export "plugin#init") (param i32 i32 i64) (result i32) (loop $for-ever (br $for-ever)) (i32.const 0))
