;; Attack: its allocator calls the host in the middle of the host's own work. Answered by the component model, which forbids it.
;; Plays: loss

(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (call $number (f64.const 1)))
