;; Attack: a denominator below zero, so that training climbs. Answered by the training loop, which stops at the step.
;; Plays: loss

(func $denominator (param $logits i32) (result i32) (call $number (f64.const -1)))
