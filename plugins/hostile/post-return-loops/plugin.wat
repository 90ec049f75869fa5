;; Attack: never ends clearing away what it returned. Answered by the deadline.
;; Plays: preprocessor

(func (export "cabi_post_preprocessor#process") (param i32) (loop $for-ever (br $for-ever)))
