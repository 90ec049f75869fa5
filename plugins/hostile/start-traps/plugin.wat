;; Attack: traps before any of its functions is called. Answered by ending its start.
;; Plays: loss

(func $begin unreachable)
(start $begin)
