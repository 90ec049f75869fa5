;; Attack: asks for the configuration of its host. Answered by the import's name, before any code runs.
;; Plays: shell

(import "wasi:config/store@0.2.0-draft" (instance))
