;; Mistake: rows without the field that it has promised. Answered by the promise.
;; Plays: preprocessor

(func $rewrite (param $row i32) (i32.store offset=8 (local.get $row) (i32.const 0)))
