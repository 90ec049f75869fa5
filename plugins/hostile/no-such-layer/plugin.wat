;; Mistake: a pattern that matches nothing. Answered by the nearest names.
;; Run: the pattern `encoder.layer.7` matches no layer
;; Plays: policy

(global $changes i32 (i32.const 1))
(text $layers "encoder.layer.7")
