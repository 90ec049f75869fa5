;; Attack: a hundred memories, none of which is large. Answered by the limit on all of them together.
;; Plays: shell

(core module $many (for 1 100 (memory 4096)))
(core instance (instantiate $many))
