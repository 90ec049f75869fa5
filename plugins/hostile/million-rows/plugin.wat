;; Attack: makes a million rows of one. Answered by the limit on copies.
;; Plays: preprocessor

(func (export "preprocessor#process") (param $batch i32) (param $length i32) (result i32) (local $out i32)
  (local.set $out (call $ok))
  (i32.store offset=4 (local.get $out) (call $take (i32.const 12000000)))
  (i32.store offset=8 (local.get $out) (i32.const 1000000))
  (local.get $out))
