;; Attack: asks for sockets. Answered by the import's name, before any code runs.
;; Plays: shell

(import "wasi:sockets/tcp@0.2.0" (instance))
