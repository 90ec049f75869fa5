;; Attack: loops before any of its functions is called. Answered by the deadline, which holds from its first instruction.
;; Plays: loss
;; Limits: schema

(func $begin (loop $for-ever (br $for-ever)))
(start $begin)
