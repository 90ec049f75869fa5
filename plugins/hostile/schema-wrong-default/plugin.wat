;; Mistake: a default that its own schema refuses. Answered by blaming the plugin, with the key.
;; Plays: loss

(text $schema `{"type":"object","properties":{"alpha":{"type":"number","default":"much"}},"additionalProperties":false}`)
