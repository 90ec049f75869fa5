//! An attack put to use as a run would: loaded, asked for its schema, started, and called in the order of a run, until
//! something fails.

mod attack;

use std::path::Path;
use std::sync::Arc;

pub use attack::{Attack, attacks};

use retune_roles::{
    Batch, Event, Failure, Layer, LayerKind, Loss, Policy, RoleKind, Sample, TextExample, Tokenizer, Trigger, Value,
};
use retune_sandbox::{Limits, Plugin, Sandbox, Setup};
use retune_tensor::Device;

use crate::common::{self, AT, Lengths, root};

/// What everything here may use: enough for an honest plugin, and little.
pub fn limits() -> Limits {
    Limits {
        memory_mib: 64,
        deadline_ms: 1_000,
        copy_mib: 8,
        handles: 1_000,
        tensor_mib: 64,
        readback_mib: 8,
        ..Limits::default()
    }
}

/// Where an attack was stopped.
#[derive(Debug)]
pub enum End {
    /// Nothing was wrong with any call: what came of it is for a run to judge.
    Passed,
    /// A sentence for the user, and what to do next.
    Stopped(String, Option<String>),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Stopped(failure.to_string(), failure.details().help.clone())
    }
}

/// All of an attack, until it is stopped.
pub fn drive(sandbox: &Sandbox, path: &Path, attack: &Attack) -> End {
    let plugin = match sandbox.load(path) {
        Ok(plugin) => plugin,
        Err(error) => return End::Stopped(error.to_string(), error.help()),
    };
    let config = attack.says("Config").map(|text| serde_json::from_str(text).unwrap()).unwrap_or_default();
    let config = match plugin.resolve_config(&config) {
        Ok(config) => config,
        Err(error) => return End::Stopped(error.to_string(), error.help()),
    };
    let tokenizer: Arc<dyn Tokenizer> = Arc::new(Lengths::default());
    let mut limits = serde_json::to_value(limits()).unwrap();
    if let Some(others) = attack.says("Limits") {
        let others: serde_json::Map<_, _> = serde_json::from_str(others).unwrap();
        limits.as_object_mut().unwrap().extend(others);
    }
    let limits = serde_json::from_value(limits).unwrap();
    let setup = Setup { limits, tokenizer: Some(tokenizer), ..Setup::new(config, 7) };
    let ended = match plugin.roles()[0] {
        RoleKind::Loss => loss(&plugin, &setup),
        RoleKind::Preprocessor => preprocessor(&plugin, &setup, attack.says("Text")),
        RoleKind::Policy => policy(&plugin, &setup),
        RoleKind::Metric => metric(&plugin, &setup),
    };
    ended.err().map_or(End::Passed, End::from)
}

/// A batch whose logits record a gradient, or do not.
fn batch(training: bool) -> Batch {
    let logits = common::logits();
    common::batch_of(if training { logits.leaf().unwrap() } else { logits })
}

/// Two steps with their backward pass, a checkpoint, an evaluation.
fn loss(plugin: &Plugin, setup: &Setup) -> Result<(), Failure> {
    let mut loss = plugin.loss(setup, &Device::flex())?;
    for _ in 0..2 {
        backward(&mut *loss)?;
    }
    if let Some(state) = loss.save()? {
        loss.load(&state)?;
    }
    loss.compute(&batch(false), &AT).map(drop)
}

fn backward(loss: &mut dyn Loss) -> Result<(), Failure> {
    let output = loss.compute(&batch(true), &AT)?;
    let gradients: Result<_, _> = output.numerator.backward();
    gradients.map(drop).map_err(|error| Failure::new(loss.name(), RoleKind::Loss, "backward", error.to_string()))
}

/// A file of one batch.
fn preprocessor(plugin: &Plugin, setup: &Setup, text: Option<&str>) -> Result<(), Failure> {
    let mut preprocessor = plugin.preprocessor(setup)?;
    let sample = |row: u64| Sample {
        key: format!("train.csv:{row}"),
        seed: row,
        fields: vec![("text".into(), Value::Text(text.map_or(format!("row {row}"), str::to_owned)))],
    };
    preprocessor.process(&(1..=20).map(sample).collect::<Vec<_>>())?;
    if preprocessor.describe().stateful { preprocessor.finish().map(drop) } else { Ok(()) }
}

/// A start and two events.
fn policy(plugin: &Plugin, setup: &Setup) -> Result<(), Failure> {
    let mut policy = plugin.policy(setup)?;
    policy.attach(&layers())?;
    for trigger in [Trigger::Start, Trigger::Steps, Trigger::Evaluation(vec![("loss".into(), 0.5)])] {
        policy.decide(&event(trigger))?;
    }
    if let Some(state) = policy.save()? { policy.load(&state) } else { Ok(()) }
}

/// Two evaluations in two parts each.
fn metric(plugin: &Plugin, setup: &Setup) -> Result<(), Failure> {
    let mut metric = plugin.metric(setup, &Device::flex())?;
    let texts: Vec<TextExample> = (1..=30)
        .map(|row| TextExample {
            key: format!("test.jsonl:{row}"),
            prompt: "question".into(),
            prediction: format!("answer {row}"),
            references: vec!["answer".into()],
            extra: "{}".into(),
        })
        .collect();
    for _ in 0..2 {
        metric.reset()?;
        if metric.reads().tensors {
            metric.update(&batch(false))?;
        }
        if metric.reads().texts {
            metric.update_texts(&texts)?;
        }
        let part = metric.snapshot()?;
        metric.merge(&part)?;
        metric.compute()?;
    }
    Ok(())
}

/// What else is in the process: a loss that goes on computing, and a policy with a state.
pub struct Bystanders {
    loss: Box<dyn Loss>,
    policy: Box<dyn Policy>,
}

impl Bystanders {
    /// Two plugins of the workspace, started.
    pub fn new(sandbox: &Sandbox) -> Self {
        let honest = |name: &str| {
            let plugin = sandbox.load(&root().join(format!("target/plugins/{name}.wasm"))).unwrap();
            let config = plugin.resolve_config(&serde_json::Value::Null).unwrap();
            let limits = Limits { deadline_ms: 10_000, ..limits() };
            (plugin, Setup { limits, ..Setup::new(config, 7) })
        };
        let (loss, setup) = honest("label-smoothing");
        let loss = loss.loss(&setup, &Device::flex()).unwrap();
        let (policy, setup) = honest("gradual-unfreezing");
        let mut policy = policy.policy(&setup).unwrap();
        policy.attach(&layers()).unwrap();
        policy.decide(&event(Trigger::Start)).unwrap();
        Self { loss, policy }
    }

    /// The loss of a step, and the policy's state.
    pub fn step(&mut self) -> (f64, Vec<u8>) {
        let output = self.loss.compute(&batch(true), &AT).unwrap();
        (output.numerator.item().unwrap(), self.policy.save().unwrap().unwrap())
    }
}

fn layers() -> [Layer; 2] {
    [0, 1].map(|depth| Layer {
        name: format!("encoder.layer.{depth}"),
        depth,
        kind: LayerKind::Attention,
        parameters: 100,
        trainable: true,
    })
}

fn event(trigger: Trigger) -> Event {
    Event { trigger, at: AT, train_loss: Some(1.0), layers: Vec::new() }
}
