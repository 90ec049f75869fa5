;; Attack: a state of 65 MiB, to be written at every checkpoint. Answered by the limit on copies, and the bound on states.
;; Plays: loss, checkpoint

(func (export "checkpoint#save") (result i32) (local $out i32)
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (call $take (i32.const 0x2000000)))
  (i32.store offset=8 (local.get $out) (i32.const 0x2000000))
  (local.get $out))
