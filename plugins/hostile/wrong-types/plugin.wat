;; Mistake: exports the functions of a loss, none of which has the right types. Answered by the types, before any is called.
;; Plays: shell
