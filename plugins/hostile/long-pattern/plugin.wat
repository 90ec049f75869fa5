;; Attack: a pattern of a megabyte. Answered by the bound on patterns.
;; Plays: policy

(global $changes i32 (i32.const 1))
(text $layers (for 1 100000 "a long name"))
