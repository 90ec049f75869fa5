;; Attack: its allocator gives the same place each time, so that what the host writes there is overwritten, and the row that
;; comes back is rubbish. Answered by the canonical ABI, which reads every value as if it were the first.
;; Plays: preprocessor

(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
