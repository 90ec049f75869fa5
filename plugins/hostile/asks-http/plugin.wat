;; Attack: asks to send requests. Answered by the import's name, before any code runs.
;; Plays: shell

(import "wasi:http/outgoing-handler@0.2.0" (instance))
