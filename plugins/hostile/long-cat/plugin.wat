;; Attack: joins ten thousand tensors to one. Answered by the quota of tensors.
;; Plays: loss

;; A list that holds one handle many times.
(func $same (param $handle i32) (param $times i32) (result i32) (local $list i32)
  (local.set $list (call $take (i32.mul (local.get $times) (i32.const 4))))
  (loop $next
    (local.set $times (i32.sub (local.get $times) (i32.const 1)))
    (i32.store (i32.add (local.get $list) (i32.mul (local.get $times) (i32.const 4))) (local.get $handle))
    (br_if $next (local.get $times)))
  (local.get $list))

(func $numerator (param $logits i32) (result i32)
  (call $tensor.cat (call $same (local.get $logits) (i32.const 2000000)) (i32.const 2000000) (i32.const 0)))
