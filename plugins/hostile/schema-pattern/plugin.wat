;; Attack: a pattern that a matcher which tries all ways takes exponential time for, and a text that makes it. Answered by a matcher
;; that does not go back.
;; Plays: loss

(text $schema `{"type":"object","properties":{"a":{"type":"string","pattern":"^(a|a)*$","default":"` (for 1 60 `a`) `!"}},"additionalProperties":false}`)
