;; Attack: asks for the files of WASI 0.3. Answered by the import's name, before any code runs.
;; Plays: shell

(import "wasi:filesystem/preopens@0.3.0" (instance))
