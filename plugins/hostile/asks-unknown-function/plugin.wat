;; Attack: asks for a function that an interface of the contract does not have. Answered by the types, before any code runs.
;; Plays: shell

(import "retune:plugin/logging@0.1.0" (instance (export "shout" (func))))
