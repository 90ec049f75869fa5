;; Mistake: exports a loss without its `compute`. Answered by the function that is missing, before any code runs.

(component
  (core module $module (func (export "f")))
  (core instance $made (instantiate $module))
  (func $f (canon lift (core func $made "f")))
  (instance $plugin (export "config-schema" (func $f)) (export "init" (func $f)))
  (export "retune:plugin/plugin@0.1.0" (instance $plugin))
  (instance $loss (export "wants" (func $f)))
  (export "retune:plugin/loss@0.1.0" (instance $loss)))
