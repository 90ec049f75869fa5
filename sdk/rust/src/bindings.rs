//! What `wit-bindgen` makes of `wit/`: one module for everything a plugin
//! imports, and one for each interface it may export.
//!
//! A component must export exactly the roles it plays, so every exported
//! interface has a world and an export macro of its own; [`export!`](crate::export)
//! picks the ones it needs, and the component linker adds their types up. All of
//! them share the imported types of `host`.
#![allow(missing_docs, clippy::all, unused_qualifications, reason = "generated code")]

pub mod host {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package retune:sdk;
            world host {
                import retune:plugin/types@0.1.0;
                import retune:plugin/logging@0.1.0;
                import retune:plugin/tensor@0.1.0;
                import retune:plugin/fused@0.1.0;
                import retune:plugin/batch@0.1.0;
                import retune:plugin/tokenizer@0.1.0;
            }
        ",
        world: "retune:sdk/host",
        generate_all,
        pub_export_macro: true,
    });
}

/// One world of exports: its module, its macro, where both live, its WIT, and
/// the interfaces it shares with `host`.
macro_rules! exported {
    ($module:ident, $macro:tt, $bindings:tt, $wit:tt, [$($shared:tt => $with:ident),*]) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                inline: $wit,
                with: { $($shared: crate::bindings::host::retune::plugin::$with),* },
                generate_all,
                pub_export_macro: true,
                export_macro_name: $macro,
                default_bindings_module: $bindings,
            });
        }
    };
}

exported!(
    plugin,
    "export_plugin",
    "::retune_sdk::bindings::plugin",
    "package retune:sdk; world plugin { export retune:plugin/plugin@0.1.0; }",
    ["retune:plugin/types@0.1.0" => types]
);
exported!(
    checkpoint,
    "export_checkpoint",
    "::retune_sdk::bindings::checkpoint",
    "package retune:sdk; world checkpoint { export retune:plugin/checkpoint@0.1.0; }",
    ["retune:plugin/types@0.1.0" => types]
);
exported!(
    preprocessor,
    "export_preprocessor",
    "::retune_sdk::bindings::preprocessor",
    "package retune:sdk; world preprocessor { export retune:plugin/preprocessor@0.1.0; }",
    ["retune:plugin/types@0.1.0" => types]
);
exported!(
    loss,
    "export_loss",
    "::retune_sdk::bindings::loss",
    "package retune:sdk; world loss { export retune:plugin/loss@0.1.0; }",
    [
        "retune:plugin/types@0.1.0" => types,
        "retune:plugin/tensor@0.1.0" => tensor,
        "retune:plugin/batch@0.1.0" => batch
    ]
);
exported!(
    policy,
    "export_policy",
    "::retune_sdk::bindings::policy",
    "package retune:sdk; world policy { export retune:plugin/policy@0.1.0; }",
    ["retune:plugin/types@0.1.0" => types]
);
exported!(
    metric,
    "export_metric",
    "::retune_sdk::bindings::metric",
    "package retune:sdk; world metric { export retune:plugin/metric@0.1.0; }",
    ["retune:plugin/types@0.1.0" => types]
);
exported!(
    tensor_metric,
    "export_tensor_metric",
    "::retune_sdk::bindings::tensor_metric",
    "package retune:sdk; world tensor-metric { export retune:plugin/tensor-metric@0.1.0; }",
    [
        "retune:plugin/types@0.1.0" => types,
        "retune:plugin/tensor@0.1.0" => tensor,
        "retune:plugin/batch@0.1.0" => batch
    ]
);
exported!(
    text_metric,
    "export_text_metric",
    "::retune_sdk::bindings::text_metric",
    "package retune:sdk; world text-metric { export retune:plugin/text-metric@0.1.0; }",
    ["retune:plugin/types@0.1.0" => types]
);
