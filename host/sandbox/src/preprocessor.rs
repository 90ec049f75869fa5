//! A component as a [`Preprocessor`]. What it returns is checked in [`checked`].
//!
//! When a batch fails and the plugin keeps no state, the batch is tried again row
//! by row in a fresh instance, so that the message names the row. Price: the time
//! of one more batch, once, before the run ends.

use retune_roles::text::shortened;
use retune_roles::{
    BatchResult, Failure, Output, Preprocessor, PreprocessorContract, Rejection, Result, RoleKind, Sample, Value,
};
use retune_tensor::Device;

use crate::bindings::guest::preprocessor as contract;
use crate::convert::check_names;
use crate::instance::Instance;
use crate::play::PluginRole;
use crate::plugin::{Plugin, Setup};

/// Most fields of a row.
const FIELDS: usize = 256;

/// Longest reason code, in characters; reasons are counted by code.
const CODE: usize = 64;

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
        check_names(said.reads.iter().map(String::as_str), "a field it reads", FIELDS)
            .and_then(|()| check_names(said.writes.iter().map(String::as_str), "a field it writes", FIELDS))
            .map_err(|reason| instance.misbehaved("describe", reason))?;
        let describes = PreprocessorContract {
            reads: said.reads,
            writes: said.writes,
            stateful: said.stateful,
            cacheable: said.cacheable,
        };
        Ok(Self { plugin: plugin.clone(), setup: setup.clone(), instance, functions, describes })
    }

    fn run(&mut self, batch: &[Sample]) -> Result<BatchResult> {
        let samples: Vec<_> = batch.iter().map(sample).collect();
        let place = || place(batch);
        let functions = &self.functions;
        let said = self.instance.call("process", place, |store| functions.call_process(store, &samples))?;
        checked(said, batch, &self.describes.writes).map_err(|(reason, at)| {
            let failure = self.instance.misbehaved("process", reason);
            match at.and_then(|index| batch.get(index)) {
                Some(sample) => failure.at(format!("sample {}", sample.key)),
                None => place().into_iter().fold(failure, Failure::at),
            }
        })
    }

    /// The failure of the first row that fails by itself, unless the row is known.
    fn culprit(&self, batch: &[Sample], failure: &Failure) -> Option<Failure> {
        if self.describes.stateful || batch.len() < 2 || failure.details().place != place(batch) {
            return None;
        }
        let mut fresh = Self::start(&self.plugin, &self.setup).ok()?;
        batch.iter().find_map(|sample| fresh.run(std::slice::from_ref(sample)).err())
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
        let outputs: Vec<_> = said.into_iter().map(|output| Output { source: 0, ..self::output(output) }).collect();
        for output in &outputs {
            row(&output.fields, &self.describes.writes).map_err(|reason| self.instance.misbehaved("finish", reason))?;
        }
        Ok(outputs)
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

macro_rules! values {
    ($($name:ident)*) => {
        fn lowered(value: &Value) -> contract::Value {
            match value {
                Value::Null => contract::Value::Null,
                $(Value::$name(value) => contract::Value::$name(value.clone()),)*
            }
        }

        fn lifted(value: contract::Value) -> Value {
            match value {
                contract::Value::Null => Value::Null,
                $(contract::Value::$name(value) => Value::$name(value),)*
            }
        }
    };
}
values! { Boolean Integer Number Text Bytes Ids Numbers Json }

fn output(output: contract::Output) -> Output {
    let fields = output.fields.into_iter().map(|(name, value)| (name, lifted(value))).collect();
    Output { source: output.source, fields }
}

/// What `process` said, when every claim in it holds; else why not, and which row
/// it is about.
fn checked(
    said: contract::BatchResult,
    batch: &[Sample],
    writes: &[String],
) -> std::result::Result<BatchResult, (String, Option<usize>)> {
    let within = |source: u32, what: &str| match usize::try_from(source) {
        Ok(index) if index < batch.len() => Ok(index),
        _ => Err((
            format!("{what} names source {source}, the last row of the batch is {}", batch.len().max(1) - 1),
            None,
        )),
    };
    let mut fate = vec![false; batch.len()];
    for rejection in &said.rejected {
        let index = within(rejection.source, "a rejection")?;
        if std::mem::replace(&mut fate[index], true) {
            return Err(("the row is rejected twice".into(), Some(index)));
        }
        let code = &rejection.reason;
        let short = !code.is_empty() && code.chars().count() <= CODE && !code.chars().any(char::is_control);
        if !short {
            let shown = shortened(code, CODE);
            let reason = format!("a rejection's reason is a short code like `too-long`, got `{shown}`");
            return Err((reason, Some(index)));
        }
    }
    let outputs: Vec<_> = said.outputs.into_iter().map(output).collect();
    for output in &outputs {
        let index = within(output.source, "an output")?;
        if fate[index] {
            return Err(("the row is both kept and rejected".into(), Some(index)));
        }
        row(&output.fields, writes).map_err(|reason| (reason, Some(index)))?;
    }
    let rejected = said.rejected.into_iter().map(|r| Rejection { source: r.source, reason: r.reason }).collect();
    Ok(BatchResult { outputs, rejected })
}

/// A row has every promised field, each field once, and JSON that is JSON.
fn row(fields: &[(String, Value)], writes: &[String]) -> std::result::Result<(), String> {
    check_names(fields.iter().map(|(name, _)| name.as_str()), "a field", FIELDS)?;
    if let Some(missing) = writes.iter().find(|name| !fields.iter().any(|(field, _)| field == *name)) {
        return Err(format!("an output lacks the field `{missing}` that `describe` promised"));
    }
    let broken = fields.iter().find(|(_, value)| match value {
        Value::Json(text) => serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(),
        _ => false,
    });
    match broken {
        Some((name, _)) => Err(format!("the field `{name}` is declared as JSON and is none")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Vec<Sample> {
        ["a", "b"].map(|key| Sample { key: key.into(), seed: 0, fields: Vec::new() }).into()
    }

    fn kept(source: u32, fields: &[(&str, contract::Value)]) -> contract::Output {
        contract::Output { source, fields: fields.iter().map(|(n, v)| ((*n).into(), v.clone())).collect() }
    }

    fn verdict(outputs: Vec<contract::Output>, rejected: &[(u32, &str)]) -> String {
        let rejected =
            rejected.iter().map(|(source, reason)| contract::Rejection { source: *source, reason: (*reason).into() });
        let said = contract::BatchResult { outputs, rejected: rejected.collect() };
        match checked(said, &batch(), &["text".into()]) {
            Ok(result) => format!("{} kept, {} rejected", result.outputs.len(), result.rejected.len()),
            Err((reason, at)) => format!("{reason} @ {at:?}"),
        }
    }

    #[test]
    fn every_claim_about_rows_is_checked() {
        let text = || contract::Value::Text("t".into());
        let lines = [
            verdict(vec![kept(0, &[("text", text())])], &[(1, "too-long")]),
            verdict(vec![kept(2, &[("text", text())])], &[]),
            verdict(vec![], &[(7, "x")]),
            verdict(vec![], &[(1, "x"), (1, "y")]),
            verdict(vec![kept(1, &[("text", text())])], &[(1, "x")]),
            verdict(vec![], &[(0, "")]),
            verdict(vec![kept(1, &[("other", text())])], &[]),
            verdict(vec![kept(1, &[("text", text()), ("text", text())])], &[]),
            verdict(vec![kept(1, &[("text", contract::Value::Json("{".into()))])], &[]),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

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
        for value in values {
            assert_eq!(lifted(lowered(&value)), value);
        }
    }
}
