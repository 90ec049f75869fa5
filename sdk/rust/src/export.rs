//! The macro that makes a component out of a type.

/// Says which type plays which role, and makes this crate a component.
///
/// The roles are `preprocessor`, `loss`, `policy`, `metric` (which reads tensors) and `text_metric` (which reads what the
/// model writes); `texts: T` adds [`TextMetric`](crate::TextMetric) to a `metric` that reads both, and `checkpoint: T` adds [`Checkpoint`](crate::Checkpoint) for a type that is a loss
/// or a policy: the host asks no other for its state. A component may play several roles, each
/// with a type of its own; the settings are then those of the first, and every type reads them.
///
/// Built for anything but wasm, it only checks that the types have the traits,
/// so that tests and other crates can use them.
///
/// ```
/// # use retune_sdk::{Batch, Loss, LossOutput, Progress, Result};
/// # struct Zero;
/// # impl Loss for Zero {
/// #     type Config = ();
/// #     fn new(_: (), _: u64) -> Result<Self> { Ok(Self) }
/// #     fn compute(&mut self, batch: &Batch, _: Progress) -> Result<LossOutput> {
/// #         let logits = batch.require("logits")?;
/// #         Ok(LossOutput::new(logits.sum(&[], false) * 0.0, logits.sum(&[], false)))
/// #     }
/// # }
/// retune_sdk::export!(loss: Zero);
/// ```
#[cfg(not(target_arch = "wasm32"))]
#[macro_export]
macro_rules! export {
    ($($role:ident : $ty:ty),+ $(,)?) => {
        const _: () = { $( $crate::__has_role!($role, $ty); )+ };
    };
}

/// Fails to compile unless the type has the role's trait.
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __has_role {
    (preprocessor, $ty:ty) => {{
        const fn has<T: $crate::Preprocessor>() {}
        has::<$ty>()
    }};
    (loss, $ty:ty) => {{
        const fn has<T: $crate::Loss>() {}
        has::<$ty>()
    }};
    (policy, $ty:ty) => {{
        const fn has<T: $crate::Policy>() {}
        has::<$ty>()
    }};
    (metric, $ty:ty) => {{
        const fn has<T: $crate::Metric>() {}
        has::<$ty>()
    }};
    (text_metric, $ty:ty) => {{
        const fn has<T: $crate::TextMetric>() {}
        has::<$ty>()
    }};
    (texts, $ty:ty) => {{
        const fn has<T: $crate::TextMetric>() {}
        has::<$ty>()
    }};
    (checkpoint, $ty:ty) => {{
        const fn has<T: $crate::Checkpoint>() {}
        has::<$ty>()
    }};
    ($other:ident, $ty:ty) => {
        compile_error!(concat!(
            "there is no role `",
            stringify!($other),
            "`: a role is preprocessor, loss, policy, metric, text_metric, texts or checkpoint"
        ))
    };
}

/// See the documentation of the other target: this one makes the component.
#[cfg(target_arch = "wasm32")]
#[macro_export]
macro_rules! export {
    ($first:ident : $type:ty $(, $role:ident : $ty:ty)* $(,)?) => {
        const _: () = {
            struct Component;

            impl $crate::guest::Component for Component {
                fn schema() -> String {
                    $crate::__role!(schema $first, $type)
                }

                fn start(config: &str, seed: u64) -> $crate::Result<()> {
                    $crate::__role!(start $first, $type, config, seed);
                    $( $crate::__role!(start $role, $ty, config, seed); )*
                    Ok(())
                }
            }

            $crate::bindings::plugin::export_plugin!(Component with_types_in $crate::bindings::plugin);
            $crate::__role!(play $first, $type, Component);
            $( $crate::__role!(play $role, $ty, Component); )*
        };
    };
}

/// What each role needs: its schema, its start, its exports.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[macro_export]
macro_rules! __role {
    (schema preprocessor, $ty:ty) => { $crate::__role!(schema of <$ty as $crate::Preprocessor>::Config) };
    (schema loss, $ty:ty) => { $crate::__role!(schema of <$ty as $crate::Loss>::Config) };
    (schema policy, $ty:ty) => { $crate::__role!(schema of <$ty as $crate::Policy>::Config) };
    (schema metric, $ty:ty) => { $crate::__role!(schema of <$ty as $crate::Metric>::Config) };
    (schema text_metric, $ty:ty) => { $crate::__role!(schema of <$ty as $crate::Metric>::Config) };
    (schema of $config:ty) => { $crate::config::schema::<$config>().to_string() };

    (start preprocessor, $ty:ty, $config:ident, $seed:ident) => {
        $crate::guest::start::<$ty>(<$ty as $crate::Preprocessor>::new($crate::config::parse($config)?, $seed)?)
    };
    (start loss, $ty:ty, $config:ident, $seed:ident) => {
        $crate::guest::start::<$ty>(<$ty as $crate::Loss>::new($crate::config::parse($config)?, $seed)?)
    };
    (start policy, $ty:ty, $config:ident, $seed:ident) => {
        $crate::guest::start::<$ty>(<$ty as $crate::Policy>::new($crate::config::parse($config)?, $seed)?)
    };
    (start metric, $ty:ty, $config:ident, $seed:ident) => {
        $crate::guest::start_metric::<$ty>(<$ty as $crate::Metric>::new($crate::config::parse($config)?, $seed)?)
    };
    (start text_metric, $ty:ty, $config:ident, $seed:ident) => {
        $crate::__role!(start metric, $ty, $config, $seed)
    };
    (start texts, $ty:ty, $config:ident, $seed:ident) => {};
    (start checkpoint, $ty:ty, $config:ident, $seed:ident) => {};

    (play preprocessor, $ty:ty, $component:ident) => {
        $crate::__role!(slot $ty, $ty);
        impl $crate::guest::PlaysPreprocessor for $component { type Role = $ty; }
        $crate::bindings::preprocessor::export_preprocessor!($component with_types_in $crate::bindings::preprocessor);
    };
    (play loss, $ty:ty, $component:ident) => {
        $crate::__role!(slot $ty, $ty);
        impl $crate::guest::PlaysLoss for $component { type Role = $ty; }
        $crate::bindings::loss::export_loss!($component with_types_in $crate::bindings::loss);
    };
    (play policy, $ty:ty, $component:ident) => {
        $crate::__role!(slot $ty, $ty);
        impl $crate::guest::PlaysPolicy for $component { type Role = $ty; }
        $crate::bindings::policy::export_policy!($component with_types_in $crate::bindings::policy);
    };
    (play metric, $ty:ty, $component:ident) => {
        $crate::__role!(slot $ty, $crate::guest::Running<$ty>);
        impl $crate::guest::PlaysMetric for $component { type Role = $ty; }
        impl $crate::guest::PlaysTensors for $component {}
        $crate::bindings::metric::export_metric!($component with_types_in $crate::bindings::metric);
        $crate::bindings::tensor_metric::export_tensor_metric!(
            $component with_types_in $crate::bindings::tensor_metric
        );
    };
    (play text_metric, $ty:ty, $component:ident) => {
        $crate::__role!(slot $ty, $crate::guest::Running<$ty>);
        impl $crate::guest::PlaysMetric for $component { type Role = $ty; }
        $crate::bindings::metric::export_metric!($component with_types_in $crate::bindings::metric);
        $crate::__role!(play texts, $ty, $component);
    };
    (play texts, $ty:ty, $component:ident) => {
        impl $crate::guest::PlaysTexts for $component { type Role = $ty; }
        $crate::bindings::text_metric::export_text_metric!($component with_types_in $crate::bindings::text_metric);
    };
    (play checkpoint, $ty:ty, $component:ident) => {
        impl $crate::guest::PlaysCheckpoint for $component { type Role = $ty; }
        $crate::bindings::checkpoint::export_checkpoint!($component with_types_in $crate::bindings::checkpoint);
    };

    (slot $ty:ty, $held:ty) => {
        impl $crate::guest::Slot for $ty {
            type Held = $held;
            fn slot() -> &'static ::std::thread::LocalKey<::std::cell::RefCell<Option<$held>>> {
                ::std::thread_local! {
                    static SLOT: ::std::cell::RefCell<Option<$held>> = const { ::std::cell::RefCell::new(None) };
                }
                &SLOT
            }
        }
    };

    ($what:ident $other:ident $($rest:tt)*) => {
        compile_error!(concat!(
            "there is no role `",
            stringify!($other),
            "` here: a role is preprocessor, loss, policy, metric or text_metric, and then perhaps texts or checkpoint"
        ))
    };
}
