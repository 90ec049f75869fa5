;; Attack: its allocator never returns. Answered by the deadline, which counts the host's own calls into the guest.
;; Plays: preprocessor

(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop $for-ever (br $for-ever)) (i32.const 0))
