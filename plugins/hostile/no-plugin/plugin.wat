;; Mistake: exports a loss and nothing that sets it up. Answered by the interface that is missing, before any code runs.

(component
  (core module $module (func (export "f")))
  (core instance $made (instantiate $module))
  (func $f (canon lift (core func $made "f")))
  (instance $loss (export "wants" (func $f)) (export "compute" (func $f)))
  (export "retune:plugin/loss@0.1.0" (instance $loss)))
