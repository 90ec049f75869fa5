;; Attack: never ends on a batch, and is slow on each single row, so that looking for the row at fault takes for ever. Answered by one
;; deadline for the whole search.
;; Plays: preprocessor
;; Limits: {"deadline_ms": 2000}

(global $rows (mut i32) (i32.const 0))
(func (export "preprocessor#process") (param $batch i32) (param $length i32) (result i32) (local $n i64)
  (loop $long
    (local.set $n (i64.add (local.get $n) (i64.const 1)))
    (br_if $long (i32.gt_u (local.get $length) (i32.const 1)))
    (br_if $long (i64.lt_u (local.get $n) (i64.const 130000000))))
  (call $ok))
