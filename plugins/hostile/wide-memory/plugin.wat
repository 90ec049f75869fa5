;; Attack: begins with four gigabytes. Answered by the memory limit, before memory is taken.
;; Plays: shell

(core module $wide (memory 65536))
(core instance (instantiate $wide))
