;; Attack: a type of lists of lists, a thousand deep. Answered by the validation of components.
;; Plays: shell

(type $t0 (list u8))
(for 1 1000 (type $t# (list $t#-)))
(import "wide" (func (param "x" $t1000)))
