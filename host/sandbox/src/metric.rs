//! A component as a [`Metric`]. What it returns is converted in [`crate::given`].

use retune_roles::{Batch, Failure, InputSpec, Metric, Reads, Result, RoleKind, TextExample, ValueSpec};
use retune_tensor::Device;

use crate::bindings::guest::{metric, tensor_metric, text_metric};
use crate::convert;
use crate::given;
use crate::instance::{Instance, accepted};
use crate::play::PluginRole;
use crate::plugin::{Plugin, Setup};

/// Largest snapshot, in bytes; workers exchange them.
const SNAPSHOT: usize = 64 << 20;

struct Plugged {
    instance: Instance,
    metric: metric::Guest,
    /// What feeds it: one of the two at least.
    tensors: Option<tensor_metric::Guest>,
    texts: Option<text_metric::Guest>,
    describes: Vec<ValueSpec>,
    wants: Vec<InputSpec>,
}

impl PluginRole for dyn Metric {
    fn start(plugin: &Plugin, setup: &Setup, device: &Device) -> Result<Box<Self>> {
        Ok(Box::new(Plugged::start(plugin, setup, device)?))
    }
}

impl Plugged {
    fn start(plugin: &Plugin, setup: &Setup, device: &Device) -> Result<Self> {
        let indices = plugin.indices();
        let Some(found) = &indices.metric else { return Err(plugin.miscast(RoleKind::Metric)) };
        if indices.tensor_metric.is_none() && indices.text_metric.is_none() {
            let failure = Failure::new(
                plugin.who(),
                RoleKind::Metric,
                "start-up",
                "it exports `metric` but nothing that feeds it",
            );
            return Err(failure.help("export `tensor-metric` or `text-metric` as well"));
        }
        let mut instance = Instance::start(plugin, setup, RoleKind::Metric, device)?;
        let metric = instance.load(|store, component| found.load(store, component))?;
        let tensors =
            indices.tensor_metric.as_ref().map(|fed| instance.load(|store, component| fed.load(store, component)));
        let tensors = tensors.transpose()?;
        let texts =
            indices.text_metric.as_ref().map(|fed| instance.load(|store, component| fed.load(store, component)));
        let texts = texts.transpose()?;

        let specs = instance.call("describe", || None, |store| metric.call_describe(store).map(Ok))?;
        let describes = accepted(&instance, "describe", || None, || given::described(specs))?;
        let wants = match &tensors {
            Some(tensors) => instance.call("wants", || None, |store| tensors.call_wants(store).map(Ok))?,
            None => Vec::new(),
        };
        let wants = accepted(&instance, "wants", || None, || given::inputs(wants))?;
        Ok(Self { instance, metric, tensors, texts, describes, wants })
    }
}

impl Metric for Plugged {
    fn name(&self) -> &str {
        self.instance.who()
    }

    fn describe(&self) -> &[ValueSpec] {
        &self.describes
    }

    fn reads(&self) -> Reads {
        Reads { tensors: self.tensors.is_some(), texts: self.texts.is_some() }
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        let Some(functions) = &self.tensors else {
            return Err(self.instance.misbehaved("update", "it does not export `tensor-metric`"));
        };
        self.instance.call(
            "update",
            || convert::rows(batch.keys()),
            |store| {
                let lent = store.data_mut().lend_batch(batch)?;
                functions.call_update(store, lent)
            },
        )
    }

    /// One row a call: an instance that has trapped is gone, and the error has to name the row.
    fn update_texts(&mut self, texts: &[TextExample]) -> Result<()> {
        let Some(functions) = &self.texts else {
            return Err(self.instance.misbehaved("update", "it does not export `text-metric`"));
        };
        for text in texts {
            let example = [text_metric::Example {
                prompt: text.prompt.clone(),
                prediction: text.prediction.clone(),
                references: text.references.clone(),
                extra: text.extra.clone(),
            }];
            let place = || Some(format!("the answer to {}", text.key));
            self.instance.call("update", place, |store| functions.call_update(store, &example))?;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        let functions = &self.metric;
        let bytes = self.instance.call("snapshot", || None, |store| functions.call_snapshot(store))?;
        accepted(&self.instance, "snapshot", || None, || given::kept(bytes, SNAPSHOT, "snapshot"))
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let functions = &self.metric;
        self.instance.call("merge", || None, |store| functions.call_merge(store, snapshot))
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        let functions = &self.metric;
        let values = self.instance.call("compute", || None, |store| functions.call_compute(store))?;
        self.instance.say("compute", values.iter().map(|(name, _)| 16 + name.len()).sum())?;
        accepted(&self.instance, "compute", || None, || given::measured(values, &self.describes))
    }

    fn reset(&mut self) -> Result<()> {
        let functions = &self.metric;
        self.instance.call("reset", || None, |store| functions.call_reset(store).map(Ok))
    }
}
