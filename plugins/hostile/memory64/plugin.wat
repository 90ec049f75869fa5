;; Attack: a memory with addresses of 64 bits, of 16 exabytes. Answered by the memory limit.
;; Plays: shell

(core module $wide (memory i64 0x1000000000000))
(core instance (instantiate $wide))
