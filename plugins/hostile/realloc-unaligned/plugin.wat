;; Attack: its allocator answers with places that are not aligned. Answered by the canonical ABI, which checks every place.
;; Plays: preprocessor

(func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
  (i32.add (call $take (i32.add (local.get $size) (i32.const 1))) (i32.const 1)))
