;; Mistake: a default that its own schema refuses. Answered as any other setting that is wrong.
;; Plays: loss

(text $schema `{"type":"object","properties":{"alpha":{"type":"number","default":"much"}},"additionalProperties":false}`)
