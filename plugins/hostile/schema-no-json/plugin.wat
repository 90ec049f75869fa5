;; Mistake: a schema that is no JSON. Answered by what the parser says.
;; Plays: loss

(text $schema `{"type": object}`)
