;; Attack: unfreezes what the recipe has frozen. Answered by the recipe, which no policy overrules.
;; Run: stays frozen
;; Plays: policy

(global $changes i32 (i32.const 1))
(global $action i32 (i32.const 1))
