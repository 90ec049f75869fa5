;; Attack: asks for a store of keys and values. Answered by the import's name, before any code runs.
;; Plays: shell

(import "wasi:keyvalue/store@0.2.0-draft" (instance))
