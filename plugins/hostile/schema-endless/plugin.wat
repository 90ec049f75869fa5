;; Attack: a schema that contains itself. Answered by a bound on how far references are followed.
;; Plays: loss
;; Config: {"a": {"a": {}}}

(text $schema `{"$ref":"#/$defs/a","$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}}`)
