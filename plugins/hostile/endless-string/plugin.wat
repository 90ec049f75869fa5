;; Attack: a schema of four gigabytes, in a memory of a few pages. Answered by the canonical ABI, which checks every place.
;; Plays: loss

(func (export "plugin#config-schema") (result i32) (call $pair (i32.const 16) (i32.const -1)))
