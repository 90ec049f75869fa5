;; Attack: new weights so large that no loss is finite. Answered by the bounds of every factor.
;; Plays: policy

(global $changes i32 (i32.const 1))
(global $action i32 (i32.const 4))
(global $scheme i32 (i32.const 1))
(global $value f64 (f64.const 1e300))
