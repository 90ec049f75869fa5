;; Attack: a component of nine hundred core instances. Answered by the limit on instances.
;; Plays: shell

(core module $one)
(for 1 900 (core instance (instantiate $one)))
