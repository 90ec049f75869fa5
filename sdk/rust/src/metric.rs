//! A number that says how good the model is, computed in a stream.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Batch, Error, Input, Result};

/// One value a metric gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSpec {
    /// Name in reports and in `evaluation.best`: `accuracy`, `macro_f1`.
    pub name: String,
    /// `percent`, `nats`; absent for plain numbers.
    pub unit: Option<String>,
    /// Which way is better.
    pub higher_is_better: bool,
}

impl ValueSpec {
    /// A plain number of which more is better.
    pub fn higher(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: None, higher_is_better: true }
    }

    /// A plain number of which less is better.
    pub fn lower(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: None, higher_is_better: false }
    }

    /// The same, counted in `unit`.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }
}

/// A number that says how good the model is.
///
/// The state is a value of its own: the SDK snapshots, merges and resets it.
/// `State::default()` is what an evaluation begins with and the unit of
/// [`Metric::merge`], which must be associative and commutative
/// ([`testing::check_metric_laws`](crate::testing::check_metric_laws) tries).
/// Snapshots are JSON; mark floats in the state with
/// `#[serde(with = "retune_sdk::state::exact")]` so that every bit survives.
pub trait Metric: Sized {
    /// The settings in the recipe; `()` for none.
    type Config: DeserializeOwned + JsonSchema;

    /// What is kept from batch to batch: counts and sums, never rows.
    type State: Default + Serialize + DeserializeOwned;

    /// Makes the metric, once for each use in a run.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    fn new(config: Self::Config, seed: u64) -> Result<Self>;

    /// What [`Metric::compute`] gives, in order.
    fn describe(&self) -> Vec<ValueSpec>;

    /// The tensors [`Metric::update`] asks for: `logits` and `labels` unless you say otherwise.
    fn wants(&self) -> Vec<Input> {
        vec![Input::required("logits"), Input::required("labels")]
    }

    /// Folds one batch into the state. Reduce on the device, read back the few
    /// numbers that are left. Left out by a metric that reads texts alone, which is never called here.
    ///
    /// # Errors
    /// When the batch is not what this metric is for.
    fn update(&self, state: &mut Self::State, batch: &Batch) -> Result<()> {
        let _ = (state, batch);
        Err(Error::unsupported("this metric has no `update`: write one, or export it as `text_metric`"))
    }

    /// Adds another part of the evaluation set to this one.
    ///
    /// # Errors
    /// When the two cannot belong to one evaluation.
    fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<()>;

    /// The values, named as in [`Metric::describe`]. NaN means "undefined on this data".
    ///
    /// # Errors
    /// When there is something wrong with what was seen.
    fn compute(&self, state: &Self::State) -> Result<Vec<(String, f64)>>;
}

/// One row of an evaluation set, answered by the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextExample {
    /// What the model was given.
    pub prompt: String,
    /// What it answered.
    pub prediction: String,
    /// What would have been right; at least one.
    pub references: Vec<String>,
    /// The other columns of the row, as a JSON object.
    pub extra: String,
}

/// A metric of what the model writes: `export!(text_metric: T)`, or `export!(metric: T, texts: T)` for one that
/// reads tensors as well.
///
/// ```
/// use retune_sdk::{Metric, Result, TextExample, TextMetric, ValueSpec};
/// use serde::{Deserialize, Serialize};
///
/// /// Characters of an answer, on average.
/// struct Length;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Seen {
///     answers: u64,
///     characters: u64,
/// }
///
/// impl Metric for Length {
///     type Config = ();
///     type State = Seen;
///
///     fn new(_: (), _seed: u64) -> Result<Self> {
///         Ok(Self)
///     }
///
///     fn describe(&self) -> Vec<ValueSpec> {
///         vec![ValueSpec::lower("answer_length")]
///     }
///
///     fn merge(&self, state: &mut Seen, other: Seen) -> Result<()> {
///         state.answers += other.answers;
///         state.characters += other.characters;
///         Ok(())
///     }
///
///     fn compute(&self, state: &Seen) -> Result<Vec<(String, f64)>> {
///         Ok(vec![("answer_length".into(), state.characters as f64 / state.answers as f64)])
///     }
/// }
///
/// impl TextMetric for Length {
///     fn update_texts(&self, state: &mut Seen, texts: &[TextExample]) -> Result<()> {
///         state.answers += texts.len() as u64;
///         state.characters += texts.iter().map(|text| text.prediction.chars().count() as u64).sum::<u64>();
///         Ok(())
///     }
/// }
///
/// retune_sdk::export!(text_metric: Length);
/// # use retune_sdk::testing::{read_texts, text};
/// # let seen = read_texts(&Length, &[text("four", &["x"]), text("sixsix", &["y"])]).unwrap();
/// # assert_eq!(Length.compute(&seen).unwrap()[0].1, 5.0);
/// ```
pub trait TextMetric: Metric {
    /// Folds answers into the state.
    ///
    /// # Errors
    /// When they are not what this metric is for.
    fn update_texts(&self, state: &mut Self::State, texts: &[TextExample]) -> Result<()>;
}
