;; Attack: a schema whose bytes are no text. Answered by the canonical ABI, which reads UTF-8 only.
;; Plays: loss

(text $schema "\ff\fe{}")
