;; Attack: a hundred thousand changes at a time. Answered by the bound on changes.
;; Plays: policy

(global $changes i32 (i32.const 1))
(global $changes i32 (i32.const 100000))
