;; Attack: asks to run models of its own. Answered by the import's name, before any code runs.
;; Plays: shell

(import "wasi:nn/inference@0.2.0-rc-2024-10-28" (instance))
