;; Attack: a schema that doubles with each of forty references. Answered by a bound on how large it comes to be.
;; Plays: loss

(text $schema `{"$ref":"#/$defs/a40","$defs":{"a0":{"type":"object"}` (for 1 40 `,"a#":{"allOf":[{"$ref":"\u0023/$defs/a#-"},{"$ref":"\u0023/$defs/a#-"}]}`) `}}`)
