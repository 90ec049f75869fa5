;; Attack: its allocator answers with a place outside of its memory. Answered by the canonical ABI, which checks every place.
;; Plays: preprocessor

(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const -16))
