;; Attack: a default of five thousand objects, each of which lacks five thousand names. Answered by stopping at what is wrong first.
;; Plays: loss

(text $schema `{"type":"object","properties":{"a":{"type":"array","items":{"required":[` (for 1 5000 `"name#",`) `"last"]},"default":[` (for 1 5000 `{},`) `{}]}}}`)
