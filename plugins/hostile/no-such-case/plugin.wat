;; Attack: answers with a case that its result does not have. Answered by the canonical ABI, which knows the cases.
;; Plays: preprocessor

(func (export "preprocessor#process") (param i32 i32) (result i32) (local $out i32)
  (local.set $out (call $ok))
  (i32.store8 (local.get $out) (i32.const 7))
  (local.get $out))
