;; Attack: a hundred changes, each of ten thousand layers that are not there. Answered by a bound on what a pattern comes to be.
;; Run: the pattern `layers.{0..9999}.**` matches no layer
;; Plays: policy

(global $changes i32 (i32.const 100))
(text $layers `layers.{0..9999}.**`)
