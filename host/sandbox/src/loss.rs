//! A component as a [`Loss`]. What it returns is converted in [`crate::given`]; its tensors are checked in [`scalar`].

use retune_roles::loss::{LossOutput, Reported};
use retune_roles::{Batch, Failure, InputSpec, Loss, Progress, Result, RoleKind};
use retune_tensor::{AnyTensor, Device, Dtype};

use crate::bindings::guest::loss::{Guest, Output};
use crate::checkpoint::Checkpoint;
use crate::convert;
use crate::given::{self, Refused, check_names};
use crate::instance::{Instance, accepted};
use crate::play::PluginRole;
use crate::plugin::{Plugin, Setup};
use crate::state::State;

/// Most scalars a loss may report.
const REPORTED: usize = 64;

struct Plugged {
    instance: Instance,
    functions: Guest,
    checkpoint: Checkpoint,
    wants: Vec<InputSpec>,
}

/// What `compute` gave, still unchecked.
struct Raw {
    numerator: AnyTensor,
    denominator: AnyTensor,
    reported: Vec<(String, AnyTensor, AnyTensor)>,
}

impl PluginRole for dyn Loss {
    fn start(plugin: &Plugin, setup: &Setup, device: &Device) -> Result<Box<Self>> {
        Ok(Box::new(Plugged::start(plugin, setup, device)?))
    }
}

impl Plugged {
    fn start(plugin: &Plugin, setup: &Setup, device: &Device) -> Result<Self> {
        let indices = plugin.indices();
        let Some(found) = &indices.loss else { return Err(plugin.miscast(RoleKind::Loss)) };
        let mut instance = Instance::start(plugin, setup, RoleKind::Loss, device)?;
        let functions = instance.load(|store, component| found.load(store, component))?;
        let checkpoint = Checkpoint::find(plugin, &mut instance)?;
        let wants = instance.call("wants", || None, |store| functions.call_wants(store).map(Ok))?;
        let wants = accepted(&instance, "wants", || None, || given::inputs(wants))?;
        Ok(Self { instance, functions, checkpoint, wants })
    }
}

impl Raw {
    fn checked(self, tracked: bool) -> std::result::Result<LossOutput, Refused> {
        let numerator = scalar(self.numerator, "the numerator")?;
        if tracked && !numerator.is_tracked() {
            return Err(wrong(
                "the numerator does not depend on the model: no gradient reaches its outputs".into(),
                "compute it from `logits` (or `hidden`, `pooled`) without `detach`, casts to integers or comparisons",
            ));
        }
        let denominator = constant(self.denominator, "the denominator")?;
        check_names(self.reported.iter().map(|(name, ..)| name.as_str()), "a reported scalar", REPORTED)
            .map_err(|refused| wrong(refused.reason, "give each reported scalar a short name of its own"))?;
        let reported = self.reported.into_iter().map(|(name, sum, count)| {
            let sum = constant(sum, &format!("the sum of `{name}`"))?;
            let count = constant(count, &format!("the count of `{name}`"))?;
            Ok(Reported { name, sum, count })
        });
        let reported = reported.collect::<std::result::Result<_, Refused>>()?;
        Ok(LossOutput { numerator, denominator, reported })
    }
}

/// A tensor of shape `[]` and of a float type. Counts may come as integers.
fn scalar(tensor: AnyTensor, what: &str) -> std::result::Result<AnyTensor, Refused> {
    let shape = tensor.shape();
    if !shape.is_empty() {
        let help = "reduce it with `sum([], false)`: the host adds such sums up over micro-batches and divides once";
        return Err(wrong(format!("{what} has shape {shape:?}, expected [] (a sum over the batch)"), help));
    }
    match tensor.dtype() {
        dtype if dtype.is_float() => Ok(tensor),
        Dtype::Boolean => {
            Err(wrong(format!("{what} is boolean, expected a float"), "cast it to float32 before the sum"))
        }
        _ => tensor.cast(Dtype::Float32).map_err(|error| wrong(format!("{what}: {error}"), "cast it to float32")),
    }
}

/// As [`scalar`], and carrying no gradient.
fn constant(tensor: AnyTensor, what: &str) -> std::result::Result<AnyTensor, Refused> {
    Ok(scalar(tensor, what)?.untracked())
}

fn wrong(reason: String, help: &'static str) -> Refused {
    Refused { reason, place: None, help: Some(help) }
}

impl Loss for Plugged {
    fn name(&self) -> &str {
        self.instance.who()
    }

    fn wants(&self) -> &[InputSpec] {
        &self.wants
    }

    fn compute(&mut self, batch: &Batch, at: &Progress) -> Result<LossOutput> {
        let tracked = batch.names().any(|name| batch.get(name).is_some_and(AnyTensor::is_tracked));
        let place = || place(at, batch, tracked);
        let functions = &self.functions;
        let raw = self.instance.call("compute", place, |store| {
            let lent = store.data_mut().lend_batch(batch)?;
            match functions.call_compute(&mut *store, lent, convert::progress(at))? {
                Ok(output) => taken(store.data_mut(), output).map(Ok),
                Err(error) => Ok(Err(error)),
            }
        })?;
        let said = raw.reported.iter().map(|(name, ..)| 16 + name.len()).sum();
        self.instance.say("compute", said).map_err(|failure| place().into_iter().fold(failure, Failure::at))?;
        accepted(&self.instance, "compute", place, || raw.checked(tracked))
    }

    fn save(&mut self) -> Result<Option<Vec<u8>>> {
        self.checkpoint.save(&mut self.instance)
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        self.checkpoint.load(&mut self.instance, state)
    }
}

/// The tensors out of the handles the guest returned.
fn taken(state: &mut State, output: Output) -> wasmtime::Result<Raw> {
    let reported = output.reported.into_iter();
    let reported = reported.map(|(name, sum, count)| Ok((name, state.take(sum)?, state.take(count)?)));
    let reported = reported.collect::<wasmtime::Result<_>>()?;
    Ok(Raw { numerator: state.take(output.numerator)?, denominator: state.take(output.denominator)?, reported })
}

/// The step that is being taken, and its rows. Validation takes none: there the
/// caller knows better where it is.
fn place(at: &Progress, batch: &Batch, training: bool) -> Option<String> {
    let step = training.then(|| format!("step {}", at.step + 1))?;
    Some(match convert::rows(batch.keys()) {
        Some(rows) => format!("{step}, {rows}"),
        None => step,
    })
}
