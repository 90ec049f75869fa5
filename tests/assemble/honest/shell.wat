;; What a whole component needs to be taken for a loss. Its functions have no types to speak of: an attack that wraps itself
;; in it strikes before any of them is called.

(core module $shell (func (export "f")))
(core instance $shell (instantiate $shell))
(func $shell (canon lift (core func $shell "f")))
(instance $as-plugin (export "config-schema" (func $shell)) (export "init" (func $shell)))
(export "retune:plugin/plugin@0.1.0" (instance $as-plugin))
(instance $as-loss (export "wants" (func $shell)) (export "compute" (func $shell)))
(export "retune:plugin/loss@0.1.0" (instance $as-loss))
