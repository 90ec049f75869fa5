//! From the contract's functions to the traits, inside a component.
//!
//! [`export!`](crate::export) makes one type, the component, and says which type
//! plays which role; the blanket implementations here do the rest: they find the
//! instance, turn the contract's records into the SDK's types and back.

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::bindings::host::retune::plugin::{batch, logging, tokenizer, types};
use crate::bindings::{checkpoint, loss, metric, plugin, policy, preprocessor, tensor_metric, text_metric};
use crate::{
    Action, Batch, BatchResult, Checkpoint, Dtype, Error, ErrorKind, Event, InitScheme, Input, Layer, LayerStats, Loss,
    LossOutput, Metric, Output, Policy, Preprocessor, Progress, Rejection, Sample, TextExample, TextMetric, Trigger,
    Value, state,
};

/// Where the instance of a role lives between calls.
pub trait Slot: 'static {
    /// What is kept.
    type Held: 'static;
    /// The place.
    fn slot() -> &'static LocalKey<RefCell<Option<Self::Held>>>;
}

/// A metric and what it has seen.
#[derive(Debug)]
pub struct Running<M: Metric> {
    metric: M,
    state: M::State,
}

/// Fills a slot with a role.
pub fn start<T: Slot>(held: T::Held) {
    T::slot().set(Some(held));
}

/// Fills a slot with a metric that has seen nothing.
pub fn start_metric<M: Metric + Slot<Held = Running<M>>>(metric: M) {
    M::slot().set(Some(Running { metric, state: M::State::default() }));
}

/// Works on the instance in a slot.
#[allow(clippy::expect_used, reason = "a host that does not call `init` first breaks the contract: trap")]
fn with<T: Slot, R>(work: impl FnOnce(&mut T::Held) -> R) -> R {
    T::slot().with_borrow_mut(|held| work(held.as_mut().expect("`init` has to be called before any role function")))
}

/// The configuration and start of all roles of a component.
pub trait Component {
    /// The schema of the settings.
    fn schema() -> String;
    /// Makes every role.
    ///
    /// # Errors
    /// The first refusal.
    fn start(config: &str, seed: u64) -> Result<(), Error>;
}

impl<C: Component> plugin::exports::retune::plugin::plugin::Guest for C {
    fn config_schema() -> String {
        C::schema()
    }

    fn init(settings: plugin::exports::retune::plugin::plugin::Settings) -> Result<(), types::Error> {
        Ok(C::start(&settings.config, settings.seed)?)
    }
}

/// A component that keeps state in checkpoints.
pub trait PlaysCheckpoint {
    /// The role whose state it is.
    type Role: Checkpoint + Slot<Held = Self::Role>;
}

impl<C: PlaysCheckpoint> checkpoint::exports::retune::plugin::checkpoint::Guest for C {
    fn save() -> Result<Vec<u8>, types::Error> {
        Ok(with::<C::Role, _>(|role| role.save())?)
    }

    fn load(state: Vec<u8>) -> Result<(), types::Error> {
        Ok(with::<C::Role, _>(|role| role.load(&state))?)
    }
}

/// A component that is a loss.
pub trait PlaysLoss {
    /// The loss.
    type Role: Loss + Slot<Held = Self::Role>;
}

impl<C: PlaysLoss> loss::exports::retune::plugin::loss::Guest for C {
    fn wants() -> Vec<batch::InputSpec> {
        with::<C::Role, _>(|role| specs(role.wants()))
    }

    fn compute(
        batch: batch::Batch,
        at: types::Progress,
    ) -> Result<loss::exports::retune::plugin::loss::Output, types::Error> {
        let LossOutput { numerator, denominator, reported } =
            with::<C::Role, _>(|role| role.compute(&Batch(batch), at.into()))?;
        Ok(loss::exports::retune::plugin::loss::Output {
            numerator: numerator.0,
            denominator: denominator.0,
            reported: reported.into_iter().map(|r| (r.name, r.sum.0, r.count.0)).collect(),
        })
    }
}

/// A component that is a metric.
pub trait PlaysMetric {
    /// The metric.
    type Role: Metric + Slot<Held = Running<Self::Role>>;
}

impl<C: PlaysMetric> metric::exports::retune::plugin::metric::Guest for C {
    fn describe() -> Vec<metric::exports::retune::plugin::metric::ValueSpec> {
        let values = with::<C::Role, _>(|running| running.metric.describe());
        values
            .into_iter()
            .map(|value| metric::exports::retune::plugin::metric::ValueSpec {
                name: value.name,
                unit: value.unit,
                higher_is_better: value.higher_is_better,
            })
            .collect()
    }

    fn snapshot() -> Result<Vec<u8>, types::Error> {
        Ok(with::<C::Role, _>(|running| state::encode(&running.state))?)
    }

    fn merge(snapshot: Vec<u8>) -> Result<(), types::Error> {
        let other = state::decode(&snapshot)?;
        Ok(with::<C::Role, _>(|running| running.metric.merge(&mut running.state, other))?)
    }

    fn compute() -> Result<Vec<(String, f64)>, types::Error> {
        Ok(with::<C::Role, _>(|running| running.metric.compute(&running.state))?)
    }

    fn reset() {
        with::<C::Role, _>(|running| running.state = Default::default());
    }
}

/// A component whose metric reads tensors.
pub trait PlaysTensors: PlaysMetric {}

impl<C: PlaysTensors> tensor_metric::exports::retune::plugin::tensor_metric::Guest for C {
    fn wants() -> Vec<batch::InputSpec> {
        with::<C::Role, _>(|running| specs(running.metric.wants()))
    }

    fn update(batch: batch::Batch) -> Result<(), types::Error> {
        Ok(with::<C::Role, _>(|running| running.metric.update(&mut running.state, &Batch(batch)))?)
    }
}

/// A component whose metric reads texts.
pub trait PlaysTexts {
    /// The metric.
    type Role: TextMetric + Slot<Held = Running<Self::Role>>;
}

impl<C: PlaysTexts> text_metric::exports::retune::plugin::text_metric::Guest for C {
    fn update(batch: Vec<text_metric::exports::retune::plugin::text_metric::Example>) -> Result<(), types::Error> {
        let texts: Vec<TextExample> = batch
            .into_iter()
            .map(|example| TextExample {
                prompt: example.prompt,
                prediction: example.prediction,
                references: example.references,
                extra: example.extra,
            })
            .collect();
        Ok(with::<C::Role, _>(|running| running.metric.update_texts(&mut running.state, &texts))?)
    }
}

/// A component that is a policy.
pub trait PlaysPolicy {
    /// The policy.
    type Role: Policy + Slot<Held = Self::Role>;
}

impl<C: PlaysPolicy> policy::exports::retune::plugin::policy::Guest for C {
    fn describe() -> policy::exports::retune::plugin::policy::Contract {
        let contract = with::<C::Role, _>(|role| role.describe());
        policy::exports::retune::plugin::policy::Contract {
            every_epoch: contract.every_epoch,
            every_steps: contract.every_steps,
            after_evaluation: contract.after_evaluation,
            stats: contract.stats,
        }
    }

    fn attach(layers: Vec<policy::exports::retune::plugin::policy::Layer>) -> Result<(), types::Error> {
        let layers: Vec<_> = layers
            .into_iter()
            .map(|layer| Layer {
                name: layer.name,
                depth: layer.depth,
                kind: layer.kind,
                parameters: layer.parameters,
                trainable: layer.trainable,
            })
            .collect();
        Ok(with::<C::Role, _>(|role| role.attach(&layers))?)
    }

    fn decide(
        event: policy::exports::retune::plugin::policy::Event,
    ) -> Result<Vec<policy::exports::retune::plugin::policy::Change>, types::Error> {
        use crate::bindings::policy::exports::retune::plugin::policy as wit;
        let event = Event {
            trigger: match event.trigger {
                wit::Trigger::Start => Trigger::Start,
                wit::Trigger::Epoch => Trigger::Epoch,
                wit::Trigger::Steps => Trigger::Steps,
                wit::Trigger::Evaluation(values) => Trigger::Evaluation(values),
            },
            at: event.at.into(),
            train_loss: event.train_loss,
            layers: event
                .layers
                .into_iter()
                .map(|layer| LayerStats {
                    name: layer.name,
                    trainable: layer.trainable,
                    grad_norm: layer.grad_norm,
                    weight_norm: layer.weight_norm,
                    update_ratio: layer.update_ratio,
                })
                .collect(),
        };
        let changes = with::<C::Role, _>(|role| role.decide(&event))?;
        Ok(changes
            .into_iter()
            .map(|change| wit::Change {
                layers: change.layers,
                action: match change.action {
                    Action::Freeze => wit::Action::Freeze,
                    Action::Unfreeze => wit::Action::Unfreeze,
                    Action::LrScale(scale) => wit::Action::LrScale(scale),
                    Action::WeightDecay(decay) => wit::Action::WeightDecay(decay),
                    Action::Reinit(scheme) => wit::Action::Reinit(match scheme {
                        InitScheme::Zeros => wit::InitScheme::Zeros,
                        InitScheme::Normal(std) => wit::InitScheme::Normal(std),
                        InitScheme::KaimingUniform => wit::InitScheme::KaimingUniform,
                        InitScheme::XavierUniform => wit::InitScheme::XavierUniform,
                        InitScheme::Pretrained => wit::InitScheme::Pretrained,
                    }),
                },
                reason: change.reason,
            })
            .collect())
    }
}

/// A component that is a preprocessor.
pub trait PlaysPreprocessor {
    /// The preprocessor.
    type Role: Preprocessor + Slot<Held = Self::Role>;
}

impl<C: PlaysPreprocessor> preprocessor::exports::retune::plugin::preprocessor::Guest for C {
    fn describe() -> preprocessor::exports::retune::plugin::preprocessor::Contract {
        let contract = with::<C::Role, _>(|role| role.describe());
        preprocessor::exports::retune::plugin::preprocessor::Contract {
            reads: contract.reads,
            writes: contract.writes,
            stateful: contract.stateful,
            cacheable: contract.cacheable,
        }
    }

    fn process(
        batch: Vec<preprocessor::exports::retune::plugin::preprocessor::Sample>,
    ) -> Result<preprocessor::exports::retune::plugin::preprocessor::BatchResult, types::Error> {
        let batch = batch
            .into_iter()
            .map(|sample| Sample {
                key: sample.key,
                seed: sample.seed,
                fields: sample.fields.into_iter().map(|(name, value)| (name, value.into())).collect(),
            })
            .collect();
        let BatchResult { outputs, rejected } = with::<C::Role, _>(|role| role.process(batch))?;
        Ok(preprocessor::exports::retune::plugin::preprocessor::BatchResult {
            outputs: outputs.into_iter().map(Into::into).collect(),
            rejected: rejected.into_iter().map(Into::into).collect(),
        })
    }

    fn finish() -> Result<Vec<preprocessor::exports::retune::plugin::preprocessor::Output>, types::Error> {
        let outputs = with::<C::Role, _>(|role| role.finish())?;
        Ok(outputs.into_iter().map(Into::into).collect())
    }
}

fn specs(inputs: Vec<Input>) -> Vec<batch::InputSpec> {
    inputs.into_iter().map(|input| batch::InputSpec { name: input.name, optional: input.optional }).collect()
}

impl From<Output> for preprocessor::exports::retune::plugin::preprocessor::Output {
    fn from(output: Output) -> Self {
        let fields = output.fields.into_iter().map(|(name, value)| (name, value.into())).collect();
        Self { source: output.source, fields }
    }
}

impl From<Rejection> for preprocessor::exports::retune::plugin::preprocessor::Rejection {
    fn from(rejection: Rejection) -> Self {
        Self { source: rejection.source, reason: rejection.reason }
    }
}

/// Both ways between two enums or variants of the same cases.
macro_rules! same_cases {
    ($ours:ident, $theirs:path, [$($plain:ident),*], [$($full:ident),*]) => {
        impl From<$theirs> for $ours {
            fn from(value: $theirs) -> Self {
                use $theirs as Theirs;
                match value { $(Theirs::$plain => Self::$plain,)* $(Theirs::$full(x) => Self::$full(x),)* }
            }
        }
        impl From<$ours> for $theirs {
            fn from(value: $ours) -> Self {
                match value { $($ours::$plain => Self::$plain,)* $($ours::$full(x) => Self::$full(x),)* }
            }
        }
    };
}

same_cases!(ErrorKind, types::ErrorKind, [Config, Input, Unsupported, Internal], []);
same_cases!(Dtype, types::Dtype, [Float32, Float16, Bfloat16, Float64, Int64, Int32, Uint8, Boolean], []);
same_cases!(
    Value,
    preprocessor::exports::retune::plugin::preprocessor::Value,
    [Null],
    [Boolean, Integer, Number, Text, Bytes, Ids, Numbers, Json]
);

use crate::logging::Level;
same_cases!(Level, logging::Level, [Trace, Debug, Info, Warn, Error, Critical], []);

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        Self { kind: error.kind.into(), message: error.message, context: error.context }
    }
}

impl From<Error> for types::Error {
    fn from(error: Error) -> Self {
        Self { kind: error.kind.into(), message: error.message, context: error.context }
    }
}

impl From<tokenizer::Encoding> for crate::tokenizer::Encoding {
    fn from(encoding: tokenizer::Encoding) -> Self {
        Self { ids: encoding.ids, offsets: encoding.offsets, special: encoding.special }
    }
}

impl From<crate::tokenizer::Message> for tokenizer::Message {
    fn from(message: crate::tokenizer::Message) -> Self {
        Self { role: message.role, content: message.content }
    }
}

impl From<types::Progress> for Progress {
    fn from(at: types::Progress) -> Self {
        Self { epoch: at.epoch, step: at.step, total_steps: at.total_steps }
    }
}
