;; Attack: a pattern of two hundred and fifty opening braces, to use up the stack of whoever expands it. Answered by a bound on nesting.
;; Run: is not a valid glob: its alternatives `{` stand more than 8 deep in each other
;; Plays: policy

(global $changes i32 (i32.const 1))
(text $layers (for 1 250 `{`))
