;; Attack: a schema of three hundred kilobytes. Answered by the bound on schemas.
;; Plays: loss

(text $schema `{"type":"object","properties":{` (for 1 20000 `"key#":true,`) `"last":true}}`)
