;; Attack: sixty components, each of which holds the one before it twice, so that starting it starts more than there are atoms in
;; a grain of sand. Answered by counting instances before compiling.
;; Plays: shell

(component $c0 (core module $one) (core instance (instantiate $one)))
(for 1 60 (component $c#
  (alias outer $attack $c#- (component $below))
  (instance (instantiate $below))
  (instance (instantiate $below))))
(instance (instantiate $c60))
