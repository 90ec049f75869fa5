;; Attack: exports twenty thousand functions more than it has to. Answered by the types of those that count.
;; Plays: shell

(core module $one (func (export "f")))
(core instance $made (instantiate $one))
(func $extra (canon lift (core func $made "f")))
(for 1 20000 (export "f#" (func $extra)))
