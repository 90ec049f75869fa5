;; Attack: its allocator traps while the host hands over a row. Answered by ending the call.
;; Plays: preprocessor

(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
