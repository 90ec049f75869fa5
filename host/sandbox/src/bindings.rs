//! Bindings of the contract, for a world that no plugin author sees.
//!
//! The world has every import and every export of every role, so that one set of
//! types serves all adapters. A component exports any subset: an adapter looks up
//! only the interfaces of its own role (`GuestIndices`), never the whole world.
#![allow(missing_docs, reason = "generated")]

wasmtime::component::bindgen!({
    inline: "
        package retune:host;

        world all-roles {
            import retune:plugin/types@0.1.0;
            import retune:plugin/logging@0.1.0;
            import retune:plugin/tokenizer@0.1.0;
            import retune:plugin/tensor@0.1.0;
            import retune:plugin/fused@0.1.0;
            import retune:plugin/batch@0.1.0;

            export retune:plugin/plugin@0.1.0;
            export retune:plugin/checkpoint@0.1.0;
            export retune:plugin/preprocessor@0.1.0;
            export retune:plugin/loss@0.1.0;
            export retune:plugin/policy@0.1.0;
            export retune:plugin/metric@0.1.0;
            export retune:plugin/tensor-metric@0.1.0;
            export retune:plugin/text-metric@0.1.0;
        }
    ",
    path: "../../wit",
    world: "retune:host/all-roles",
    with: {
        "retune:plugin/tensor.tensor": crate::handles::Slot,
        "retune:plugin/batch.batch": crate::handles::Lent,
        "retune:plugin/tokenizer.tokenizer": crate::handles::CurrentTokenizer,
    },
    imports: { default: trappable },
});

pub use exports::retune::plugin as guest;
pub use retune::plugin as host;
