;; Attack: says that it reads a field whose name is a line of the host. Answered by the bound on names, which are one safe line.
;; Plays: preprocessor

(text $field "text\0aerror: the disk is full\1b[31m")
