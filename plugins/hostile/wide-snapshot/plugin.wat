;; Attack: a snapshot of 65 MiB. Answered by the bound on snapshots, and the limit on copies.
;; Plays: metric

(func (export "metric#snapshot") (result i32) (local $out i32)
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (call $take (i32.const 0x2000000)))
  (i32.store offset=8 (local.get $out) (i32.const 0x2000000))
  (local.get $out))
