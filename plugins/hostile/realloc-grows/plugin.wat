;; Attack: its allocator takes all the memory there is, a mebibyte at a time. Answered by the memory limit.
;; Plays: preprocessor

(func (export "cabi_realloc") (param $old i32) (param $was i32) (param $align i32) (param $size i32) (result i32)
  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  unreachable)
