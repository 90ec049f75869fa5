;; Attack: a function with sixty thousand locals. Answered by the validation of WebAssembly, which allows fifty thousand.
;; Plays: shell

(core module $many (func (local (for 1 60000 i64))))
(core instance (instantiate $many))
