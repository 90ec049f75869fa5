;; Attack: a schema that is to be fetched from somewhere. Answered by following references within the schema only.
;; Plays: loss

(text $schema `{"type":"object","properties":{"a":{"$ref":"https://example.org/schema.json"}}}`)
