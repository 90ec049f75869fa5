//! A component as a [`Preprocessor`]. What it returns is converted in [`crate::given`].
//!
//! When a batch fails and the plugin keeps no state, the batch is tried again row
//! by row in a fresh instance, so that the message names the row. The search begins no further
//! row once it has lasted as long as one call may, and then the message names the batch. Price: the time
//! of one more batch, once, before the run ends; two deadlines at most.

use std::time::{Duration, Instant};

use retune_roles::{BatchResult, Failure, Output, Preprocessor, PreprocessorContract, Result, RoleKind, Sample, Value};
use retune_tensor::Device;

use crate::bindings::guest::preprocessor as contract;
use crate::given;
use crate::instance::{Instance, accepted};
use crate::play::PluginRole;
use crate::plugin::{Plugin, Setup};

struct Plugged {
    plugin: Plugin,
    setup: Setup,
    instance: Instance,
    functions: contract::Guest,
    describes: PreprocessorContract,
}

impl PluginRole for dyn Preprocessor {
    fn start(plugin: &Plugin, setup: &Setup, _: &Device) -> Result<Box<Self>> {
        Ok(Box::new(Plugged::start(plugin, setup)?))
    }
}

impl Plugged {
    fn start(plugin: &Plugin, setup: &Setup) -> Result<Self> {
        let Some(found) = &plugin.indices().preprocessor else { return Err(plugin.miscast(RoleKind::Preprocessor)) };
        let mut instance = Instance::start(plugin, setup, RoleKind::Preprocessor, &Device::flex())?;
        let functions = instance.load(|store, component| found.load(store, component))?;
        let said = instance.call("describe", || None, |store| functions.call_describe(store).map(Ok))?;
        let describes = accepted(&instance, "describe", || None, || given::preprocessor_contract(said))?;
        Ok(Self { plugin: plugin.clone(), setup: setup.clone(), instance, functions, describes })
    }

    fn run(&mut self, batch: &[Sample]) -> Result<BatchResult> {
        let samples: Vec<_> = batch.iter().map(sample).collect();
        let place = || place(batch);
        let functions = &self.functions;
        let said = self.instance.call("process", place, |store| functions.call_process(store, &samples))?;
        accepted(&self.instance, "process", place, || given::processed(said, batch, &self.describes.writes))
    }

    /// The failure of the first row that fails by itself, unless the row is known.
    fn culprit(&self, batch: &[Sample], failure: &Failure) -> Option<Failure> {
        if self.describes.stateful || batch.len() < 2 || failure.details().place != place(batch) {
            return None;
        }
        let end = Instant::now().checked_add(Duration::from_millis(self.setup.limits.deadline_ms))?;
        let mut fresh = Self::start(&self.plugin, &self.setup).ok()?;
        let rows = batch.iter().take_while(|_| Instant::now() < end);
        rows.map(std::slice::from_ref).find_map(|sample| fresh.run(sample).err())
    }
}

impl Preprocessor for Plugged {
    fn name(&self) -> &str {
        self.instance.who()
    }

    fn describe(&self) -> &PreprocessorContract {
        &self.describes
    }

    fn process(&mut self, batch: &[Sample]) -> Result<BatchResult> {
        self.run(batch).map_err(|failure| self.culprit(batch, &failure).unwrap_or(failure))
    }

    fn finish(&mut self) -> Result<Vec<Output>> {
        let functions = &self.functions;
        let said = self.instance.call("finish", || None, |store| functions.call_finish(store))?;
        accepted(&self.instance, "finish", || None, || given::finished(said, &self.describes.writes))
    }
}

fn place(batch: &[Sample]) -> Option<String> {
    match batch {
        [] => None,
        [only] => Some(format!("sample {}", only.key)),
        [first, .., last] => Some(format!("samples {} to {} ({} rows)", first.key, last.key, batch.len())),
    }
}

fn sample(sample: &Sample) -> contract::Sample {
    let fields = sample.fields.iter().map(|(name, value)| (name.clone(), lowered(value))).collect();
    contract::Sample { key: sample.key.clone(), seed: sample.seed, fields }
}

/// As the contract has it.
fn lowered(value: &Value) -> contract::Value {
    match value {
        Value::Null => contract::Value::Null,
        Value::Boolean(value) => contract::Value::Boolean(*value),
        Value::Integer(value) => contract::Value::Integer(*value),
        Value::Number(value) => contract::Value::Number(*value),
        Value::Text(value) => contract::Value::Text(value.clone()),
        Value::Bytes(value) => contract::Value::Bytes(value.clone()),
        Value::Ids(value) => contract::Value::Ids(value.clone()),
        Value::Numbers(value) => contract::Value::Numbers(value.clone()),
        Value::Json(value) => contract::Value::Json(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        let values = [
            Value::Null,
            Value::Boolean(true),
            Value::Integer(-3),
            Value::Number(0.5),
            Value::Text("ß".into()),
            Value::Bytes(vec![0, 255]),
            Value::Ids(vec![1]),
            Value::Numbers(vec![0.25]),
            Value::Json("{}".into()),
        ];
        let fields: Vec<_> = values.into_iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect();
        let went = sample(&Sample { key: "a".into(), seed: 0, fields: fields.clone() });
        let came = contract::Output { source: 0, fields: went.fields };
        assert_eq!(given::finished(vec![came], &[]).unwrap()[0].fields, fields);
    }
}
