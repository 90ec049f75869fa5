;; Attack: asks for threads. Answered by the import's name, before any code runs.
;; Plays: shell

(import "wasi:threads/spawn@0.2.0" (instance))
