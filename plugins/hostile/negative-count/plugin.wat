;; Attack: a denominator below zero, so that training climbs. Answered by the bounds of what a loss gives.
;; Run: the denominator is -1; it is a count or a sum of weights and cannot be negative
;; Plays: loss

(func $denominator (param $logits i32) (result i32) (call $number (f64.const -1)))
