;; Attack: asks for an interface that the contract does not have. Answered by the import's name, before any code runs.
;; Plays: shell

(import "retune:plugin/secrets@0.1.0" (instance))
