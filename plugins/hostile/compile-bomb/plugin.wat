;; Attack: a small function that takes a compiler a minute: two hundred loops in one another, with a thousand locals alive in all
;; of them. Answered by the bounds on compiling.
;; Plays: shell

(core module $slow
  (func (export "slow") (param i64) (result i64) (local (for 1 1000 i64))
    (for 1 1000 (local.set # (i64.add (local.get #-) (i64.const #))))
    (for 1 200 loop)
    (for 1 1000 (local.set # (i64.xor (local.get #) (local.get #-))))
    (for 1 200 (br_if 0 (i32.wrap_i64 (local.get #))) end)
    (for 1 1000 (local.set 0 (i64.add (local.get 0) (local.get #))))
    (local.get 0)))
(core instance (instantiate $slow))
