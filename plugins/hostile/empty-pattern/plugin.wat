;; Mistake: a change of layers without a name. Answered by the bound on patterns.
;; Plays: policy

(global $changes i32 (i32.const 1))
(text $layers "")
