;; Attack: traps when it is to clear away what it returned. Answered by ending the call.
;; Plays: preprocessor

(func (export "cabi_post_preprocessor#process") (param i32) unreachable)
