;; Attack: twenty tables of a hundred thousand entries. Answered by the limit on all of them together.
;; Plays: shell

(core module $many (for 1 20 (table 100000 funcref)))
(core instance (instantiate $many))
