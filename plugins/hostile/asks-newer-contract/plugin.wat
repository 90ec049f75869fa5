;; Attack: asks for a contract that this host does not speak. Answered by the import's name, before any code runs.
;; Plays: shell

(import "retune:plugin/tensor@9.9.0" (instance))
