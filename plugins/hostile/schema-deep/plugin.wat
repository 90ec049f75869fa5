;; Attack: a schema of fifty thousand nested lists, to use up the stack of whoever reads it. Answered by the parser's own bound.
;; Plays: loss

(text $schema (for 1 50000 `[`))
