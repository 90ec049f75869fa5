;; Mistake: wants to be asked every 0 steps. Answered by the least there is.
;; Plays: policy

(func (export "policy#describe") (result i32) (local $out i32)
  (local.set $out (call $take (i32.const 16)))
  (i32.store8 offset=4 (local.get $out) (i32.const 1))
  (local.get $out))
