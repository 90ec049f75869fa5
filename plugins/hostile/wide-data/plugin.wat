;; Attack: fills memory that it does not have. Answered by ending its start.
;; Plays: shell

(core module $wide (memory 1) (data (i32.const 65530) "more than there is room for"))
(core instance (instantiate $wide))
