;; Mistake: asks for a function of the contract with other types. Answered by the types, before any code runs.
;; Plays: shell

(import "retune:plugin/tokenizer@0.1.0" (instance (export "current" (func (param "name" string) (result u32)))))
