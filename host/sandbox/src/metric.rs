//! A component as a [`Metric`].

use retune_roles::text::shortened;
use retune_roles::{Batch, Failure, InputSpec, Metric, Result, RoleKind, ValueSpec};
use retune_tensor::Device;

use crate::bindings::guest::{metric, tensor_metric};
use crate::convert::{self, check_names};
use crate::instance::Instance;
use crate::play::PluginRole;
use crate::plugin::{Plugin, Setup};

/// Most values, one per class included.
const VALUES: usize = 10_000;

/// Largest snapshot, in bytes; workers exchange them.
const SNAPSHOT: usize = 64 << 20;

struct Plugged {
    instance: Instance,
    metric: metric::Guest,
    tensors: tensor_metric::Guest,
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
        let Some(fed) = &indices.tensor_metric else { return Err(unfed(plugin, indices.text_metric)) };
        let mut instance = Instance::start(plugin, setup, RoleKind::Metric, device)?;
        let metric = instance.load(|store, component| found.load(store, component))?;
        let tensors = instance.load(|store, component| fed.load(store, component))?;

        let specs = instance.call("describe", || None, |store| metric.call_describe(store).map(Ok))?;
        let describes = values(specs).map_err(|reason| instance.misbehaved("describe", reason))?;
        let wants = instance.call("wants", || None, |store| tensors.call_wants(store).map(Ok))?;
        let wants = convert::inputs(wants).map_err(|reason| instance.misbehaved("wants", reason))?;
        Ok(Self { instance, metric, tensors, describes, wants })
    }

    /// The described values first and in their order, further ones after them.
    fn checked(&self, values: Vec<(String, f64)>) -> Result<Vec<(String, f64)>> {
        let wrong = |reason: String| self.instance.misbehaved("compute", reason);
        check_names(values.iter().map(|(name, _)| name.as_str()), "a value", VALUES).map_err(wrong)?;
        for (index, spec) in self.describes.iter().enumerate() {
            match values.get(index) {
                Some((name, _)) if *name == spec.name => {}
                Some((name, _)) => {
                    return Err(wrong(format!("value {} is `{name}`, `describe` promised `{}`", index + 1, spec.name)));
                }
                None => return Err(wrong(format!("the value `{}` that `describe` promised is missing", spec.name))),
            }
        }
        Ok(values)
    }
}

fn values(specs: Vec<metric::ValueSpec>) -> std::result::Result<Vec<ValueSpec>, String> {
    if specs.is_empty() {
        return Err("it describes no value".into());
    }
    check_names(specs.iter().map(|s| s.name.as_str()), "a value", VALUES)?;
    Ok(specs
        .into_iter()
        .map(|s| ValueSpec {
            name: s.name,
            unit: s.unit.map(|unit| shortened(&unit, 32)),
            higher_is_better: s.higher_is_better,
        })
        .collect())
}

fn unfed(plugin: &Plugin, text: bool) -> Failure {
    let failure = |reason: &str| Failure::new(plugin.who(), RoleKind::Metric, "start-up", reason);
    match text {
        true => failure("it reads generated text (`text-metric`), and this run generates none")
            .help("use a metric that exports `tensor-metric`"),
        false => failure("it exports `metric` but nothing that feeds it").help("export `tensor-metric` as well"),
    }
}

impl Metric for Plugged {
    fn name(&self) -> &str {
        self.instance.who()
    }

    fn describe(&self) -> &[ValueSpec] {
        &self.describes
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn update(&mut self, batch: &Batch) -> Result<()> {
        let functions = &self.tensors;
        self.instance.call(
            "update",
            || convert::rows(batch.keys()),
            |store| {
                let lent = store.data_mut().lend_batch(batch)?;
                functions.call_update(store, lent)
            },
        )
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        let functions = &self.metric;
        let bytes = self.instance.call("snapshot", || None, |store| functions.call_snapshot(store))?;
        if bytes.len() > SNAPSHOT {
            let reason = format!("its snapshot is larger than {} MiB", SNAPSHOT >> 20);
            return Err(self.instance.misbehaved("snapshot", reason));
        }
        Ok(bytes)
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let functions = &self.metric;
        self.instance.call("merge", || None, |store| functions.call_merge(store, snapshot))
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        let functions = &self.metric;
        let values = self.instance.call("compute", || None, |store| functions.call_compute(store))?;
        self.checked(values)
    }

    fn reset(&mut self) -> Result<()> {
        let functions = &self.metric;
        self.instance.call("reset", || None, |store| functions.call_reset(store).map(Ok))
    }
}
