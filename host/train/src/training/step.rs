//! The loss and gradient of one optimiser step.
//!
//! A step's window of rows is cut into micro-batches. Each is run forward and its
//! loss *numerator* backward; numerators, denominators and gradients are added up
//! and divided once. So the loss of a step is
//!
//! ```text
//! Σ numerators / Σ denominators
//! ```
//!
//! over all micro-batches and workers, and 1×8, 2×4 and 8×1 rows are the same
//! step, a short last window included. Dropout follows the row's place in the
//! window, so it does not see micro-batches either.
//!
//! Numbers are read back once per step; a step whose loss or gradient is not finite
//! is refused before anything is applied.

use retune_roles::{Example, Failure, Loss, LossOutput, Progress, RoleKind};
use retune_tensor::AnyTensor;
use serde::{Deserialize, Serialize};

use crate::{
    collate::Collation,
    error::TrainError,
    files::exact::Exact,
    model::{DropoutSeeds, Model},
    optimizer::gradients::{Gradients, read_scalars},
    seeds::{Purpose, seed_of},
    training::workers::{Workers, sum_gradients},
};

/// What a step is cut from and how.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rows in a micro-batch.
    pub batch_size: usize,
    /// The run's seed when dropout is on.
    pub dropout_seed: Option<u64>,
    /// Index in the whole window of this worker's first row.
    pub first: usize,
}

/// Sums over one step's window, all workers included.
#[derive(Clone, Debug)]
pub struct StepSums {
    /// Gradient of the sum of numerators; not divided yet.
    pub gradients: Gradients,
    /// Sum of squares of each gradient.
    pub squared_norms: Vec<Option<f64>>,
    /// Sum of numerators.
    pub numerator: f64,
    /// Sum of denominators.
    pub denominator: f64,
    /// Further scalars of the loss: name, sum, count.
    pub reported: Vec<(String, f64, f64)>,
    /// Tokens without padding.
    pub tokens: u64,
    /// Rows; of packed ones each counts.
    pub rows: u64,
}

impl StepSums {
    /// The loss of the step; zero when nothing in it carries a loss.
    pub fn loss(&self) -> f64 {
        if self.denominator == 0.0 { 0.0 } else { self.numerator / self.denominator }
    }
}

/// Scalars of one micro-batch, still on the device.
struct Pending {
    keys: Vec<String>,
    numerator: AnyTensor,
    denominator: AnyTensor,
    reported: Vec<(String, AnyTensor, AnyTensor)>,
}

/// What a step is computed with.
pub(crate) struct Setting<'a> {
    pub model: &'a Model,
    pub collation: &'a Collation,
    pub shape: Shape,
    pub at: &'a Progress,
    pub workers: &'a dyn Workers,
    /// Asked before each micro-batch.
    pub interrupted: &'a dyn Fn() -> bool,
}

/// Runs one step's window forward and backward. `rows` are this worker's; the
/// model is not changed.
///
/// # Errors
/// When the loss fails or answers what it may not, and when loss or gradient are
/// not finite: then step, rows and loss are named. [`TrainError::Peer`] when another worker failed.
pub fn compute(
    model: &Model,
    loss: &mut dyn Loss,
    collation: &Collation,
    rows: &[&Example],
    shape: Shape,
    at: &Progress,
    workers: &dyn Workers,
) -> Result<StepSums, TrainError> {
    let setting = Setting { model, collation, shape, at, workers, interrupted: &|| false };
    interruptible(&setting, loss, rows)?.ok_or(TrainError::Stopped { step: at.step })
}

/// [`compute`], or `None` when some worker was interrupted.
pub(crate) fn interruptible(
    setting: &Setting<'_>,
    loss: &mut dyn Loss,
    rows: &[&Example],
) -> Result<Option<StepSums>, TrainError> {
    let Setting { model, at, workers, .. } = setting;
    let mut gradients = Gradients::none(model.parameters().len());
    // Whatever happened here is told first, so that no worker waits for this one.
    let own = share(setting, loss, rows, &mut gradients);
    let (share, failed) = match own {
        Ok(share) => (share, None),
        Err(error) => (Share { end: Some(End::Failed), ..Share::default() }, Some(error)),
    };
    let shares = exchange(*workers, share)?;
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(rank) = shares.iter().position(|share| share.end == Some(End::Failed)) {
        return Err(TrainError::Peer { rank, step: at.step + 1 });
    }
    if shares.iter().any(|share| share.end == Some(End::Interrupted)) {
        return Ok(None);
    }
    let mut total = Share::default();
    shares.into_iter().for_each(|share| total.add(share));
    sum_gradients(*workers, model.parameters(), &mut gradients, &total.present)?;
    let squared_norms = gradients.squared_norms().map_err(TrainError::tensor("measuring the gradient"))?;
    let norm: f64 = squared_norms.iter().flatten().sum();
    if !norm.is_finite() {
        // The sum is the same on all workers, and so is this end.
        return Err(TrainError::NonFinite {
            step: at.step + 1,
            loss: loss.name().to_string(),
            what: "the gradient norm",
            value: norm.sqrt(),
            keys: rows.iter().map(|row| row.key.clone()).collect(),
        });
    }
    Ok(Some(StepSums {
        gradients,
        squared_norms,
        numerator: total.numerator.0,
        denominator: total.denominator.0,
        reported: total.reported.into_iter().map(|(name, sum, count)| (name, sum.0, count.0)).collect(),
        tokens: total.tokens,
        rows: total.rows,
    }))
}

/// What one worker adds to a step, besides gradients.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Share {
    numerator: Exact,
    denominator: Exact,
    reported: Vec<(String, Exact, Exact)>,
    tokens: u64,
    rows: u64,
    /// Whether it has a gradient of each parameter.
    present: Vec<bool>,
    end: Option<End>,
}

/// Why a worker has nothing to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    Failed,
    Interrupted,
}

impl Share {
    fn add(&mut self, other: Self) {
        self.numerator.0 += other.numerator.0;
        self.denominator.0 += other.denominator.0;
        self.tokens += other.tokens;
        self.rows += other.rows;
        other.reported.into_iter().for_each(|(name, sum, count)| self.report(name, sum.0, count.0));
        self.present.resize(self.present.len().max(other.present.len()), false);
        self.present.iter_mut().zip(other.present).for_each(|(any, one)| *any |= one);
    }

    fn report(&mut self, name: String, sum: f64, count: f64) {
        match self.reported.iter_mut().find(|reported| reported.0 == name) {
            Some(reported) => {
                reported.1.0 += sum;
                reported.2.0 += count;
            }
            None => self.reported.push((name, Exact(sum), Exact(count))),
        }
    }
}

/// The shares of all workers, in the order of ranks.
fn exchange(workers: &dyn Workers, own: Share) -> Result<Vec<Share>, TrainError> {
    if workers.size() == 1 {
        return Ok(vec![own]);
    }
    let garbled = |error: serde_json::Error| TrainError::Workers { problem: format!("a message is damaged: {error}") };
    let messages = workers.gather(serde_json::to_vec(&own).map_err(garbled)?)?;
    messages.iter().map(|message| serde_json::from_slice(message).map_err(garbled)).collect()
}

/// This worker's micro-batches, forward and backward; gradients are added to `gradients`.
fn share(
    setting: &Setting<'_>,
    loss: &mut dyn Loss,
    rows: &[&Example],
    gradients: &mut Gradients,
) -> Result<Share, TrainError> {
    let Setting { model, collation, shape, at, interrupted, .. } = *setting;
    let mut pending = Vec::new();
    let (mut tokens, mut documents) = (0, 0);
    if interrupted() {
        return Ok(Share { end: Some(End::Interrupted), ..Share::default() });
    }
    for (index, micro) in rows.chunks(shape.batch_size).enumerate() {
        if index > 0 && interrupted() {
            return Ok(Share { end: Some(End::Interrupted), ..Share::default() });
        }
        let input = model.input(micro)?;
        tokens += input.tokens();
        documents += input.layout().rows().len() as u64;
        let first = shape.first + index * shape.batch_size;
        let dropout = shape.dropout_seed.map(|seed| {
            let row_seed = |row: usize| seed_of(seed, Purpose::Dropout, at.step, (first + row) as u64);
            DropoutSeeds::new(document_seeds(input.layout().rows(), row_seed))
        });
        let weights = model.weights(true);
        let forward = model.forward(&weights, &input, dropout.as_ref())?;
        let batch = collation.batch(&forward, &input, micro, model.device())?;
        drop(forward);
        let output = loss.compute(&batch, at).map_err(|failure| failure.at(place(at)))?;
        drop(batch);
        check(loss.name(), &output, || place(at), true)?;
        let LossOutput { numerator, denominator, reported } = output;
        pending.push(Pending {
            keys: input.keys().to_vec(),
            numerator: numerator.untracked(),
            denominator: denominator.untracked(),
            reported: reported.into_iter().map(|r| (r.name, r.sum.untracked(), r.count.untracked())).collect(),
        });
        let parts = weights.backward(&numerator)?;
        gradients.add(parts).map_err(TrainError::tensor("adding gradients"))?;
    }
    let mut share = read(&pending, loss.name(), at)?;
    (share.tokens, share.rows) = (tokens, documents);
    share.present = gradients.iter().map(|gradient| gradient.is_some()).collect();
    Ok(share)
}

/// A seed for each document, of which `rows` says the row it came from: the first of a row has that of the row.
fn document_seeds(rows: &[usize], row_seed: impl Fn(usize) -> u64) -> Vec<u64> {
    let runs = rows.chunk_by(|one, other| one == other);
    let each = runs.flat_map(|run| {
        let seed = row_seed(run[0]);
        (0..run.len() as u64).map(move |place| match place {
            0 => seed,
            place => seed_of(seed, Purpose::Document, place, 0),
        })
    });
    each.collect()
}

/// Reads the scalars of all micro-batches back in one go, and refuses what is not finite.
fn read(pending: &[Pending], loss: &str, at: &Progress) -> Result<Share, TrainError> {
    let scalars: Vec<AnyTensor> = pending
        .iter()
        .flat_map(|p| {
            [p.numerator.clone(), p.denominator.clone()]
                .into_iter()
                .chain(p.reported.iter().flat_map(|r| [r.1.clone(), r.2.clone()]))
        })
        .collect();
    let mut read = read_scalars(&scalars).map_err(TrainError::tensor("reading the loss"))?.into_iter();
    let mut next = || read.next().unwrap_or(f64::NAN);
    let mut share = Share::default();
    for part in pending {
        let not_finite = |what, value| {
            Err(TrainError::NonFinite {
                step: at.step + 1,
                loss: loss.to_string(),
                what,
                value,
                keys: part.keys.clone(),
            })
        };
        let (n, d) = (next(), next());
        if !n.is_finite() {
            return not_finite("the numerator", n);
        }
        if !d.is_finite() {
            return not_finite("the denominator", d);
        }
        if d < 0.0 {
            let reason = format!("the denominator is {d}; it is a count or a sum of weights and cannot be negative");
            return Err(Failure::new(loss, RoleKind::Loss, "compute", reason).at(place(at)).into());
        }
        share.numerator.0 += n;
        share.denominator.0 += d;
        for (name, _, _) in &part.reported {
            share.report(name.clone(), next(), next());
        }
    }
    Ok(share)
}

/// Where a call of a role happens, for messages.
pub(crate) fn place(at: &Progress) -> String {
    format!("step {}", at.step + 1)
}

/// Refuses an answer, given at `place`, that is not two scalars (and, in training, one to learn from).
pub(crate) fn check(
    loss: &str,
    output: &LossOutput,
    place: impl Fn() -> String,
    training: bool,
) -> Result<(), TrainError> {
    let refuse = |reason: String, help: &str| {
        Err(Failure::new(loss, RoleKind::Loss, "compute", reason).at(place()).help(help).into())
    };
    let scalars = [("numerator".to_string(), &output.numerator), ("denominator".to_string(), &output.denominator)];
    let further = output
        .reported
        .iter()
        .flat_map(|r| [(format!("sum of `{}`", r.name), &r.sum), (format!("count of `{}`", r.name), &r.count)]);
    for (what, tensor) in scalars.into_iter().chain(further) {
        let shape = tensor.shape();
        if !shape.is_empty() {
            return refuse(
                format!("the {what} has shape {shape:?}, expected []"),
                "reduce it with a sum over all dimensions",
            );
        }
    }
    if !output.numerator.dtype().is_float() {
        return refuse(
            format!("the numerator is {:?}, expected a float", output.numerator.dtype()),
            "compute it from the logits",
        );
    }
    if training && !output.numerator.is_tracked() {
        let help = "compute it from `logits`, `hidden` or `pooled`, without `detach` on the way";
        return refuse("the numerator does not depend on the model, so nothing can be learnt from it".into(), help);
    }
    Ok(())
}
