;; Attack: a learning rate that turns every weight into infinity. Answered by the bounds of every factor.
;; Plays: policy

(global $changes i32 (i32.const 1))
(global $action i32 (i32.const 2))
(global $value f64 (f64.const 1e308))
