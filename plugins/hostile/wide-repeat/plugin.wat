;; Attack: repeats the logits four billion times. Answered by the checks of every operation, before memory is taken.
;; Plays: loss
;; Limits: {"deadline_ms": 600000}

(func $numerator (param $logits i32) (result i32)
  (call $tensor.repeat (local.get $logits) (i32.const 0) (i32.const -1)))
