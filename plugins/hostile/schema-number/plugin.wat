;; Mistake: a schema that is a number. Answered by what a schema is.
;; Plays: loss

(text $schema `42`)
