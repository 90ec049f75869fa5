;; Attack: a function of forty thousand blocks in one another, to use up the stack of whoever compiles it. Answered by loading it apart,
;; or not at all.
;; Plays: shell

(core module $deep (func (export "deep") (for 1 40000 block) (for 1 40000 end)))
(core instance (instantiate $deep))
