;; Attack: takes memory without end before any of its functions is called. Answered by the memory limit, which holds from its
;; first instruction.
;; Plays: loss

(func $begin
  (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  unreachable)
(start $begin)
