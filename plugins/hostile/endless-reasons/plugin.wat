;; Attack: three thousand changes at every step, each with a reason of four kilobytes. Answered by a budget for words, and by telling
;; equal changes once.
;; Plays: policy

(global $changes i32 (i32.const 3000))
(text $reason (for 1 400 `no reason `))
