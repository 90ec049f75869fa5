;; Attack: asks for ten thousand interfaces. Answered by the validation of components, which allows a thousand.
;; Plays: shell

(for 1 10000 (import "acme:f#/f" (instance)))
