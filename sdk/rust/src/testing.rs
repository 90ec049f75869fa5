//! What a plugin's tests need: batches, rows, and the laws of a metric.
//!
//! Not there in a component.

use crate::logging::Level;
use crate::preprocessor::{BatchResult, Fields, Preprocessor, Sample, Value};
use crate::{Batch, Metric, Result, Tensor, TextExample, TextMetric, mock, state};

/// Builds a [`Batch`].
///
/// ```
/// use retune_sdk::testing::batch;
///
/// let batch = batch()
///     .floats("logits", &[2, 3], &[2.0, 0.0, 0.0, 0.0, 1.0, 0.0])
///     .ints("labels", &[2], &[0, 2])
///     .build();
/// assert_eq!(batch.require("labels").unwrap().shape(), [2]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct BatchBuilder(mock::Batch);

/// A batch with nothing in it yet.
pub fn batch() -> BatchBuilder {
    BatchBuilder::default()
}

impl BatchBuilder {
    /// Adds a `float32` tensor.
    #[must_use]
    #[track_caller]
    pub fn floats(self, name: &str, shape: &[u32], data: &[f32]) -> Self {
        self.tensor(name, crate::tensor::from_float32(data, shape))
    }

    /// Adds a `float64` tensor, for finite differences: what a loss makes of it is `float64` too.
    #[must_use]
    #[track_caller]
    pub fn doubles(self, name: &str, shape: &[u32], data: &[f64]) -> Self {
        let mut tensor = mock::full(shape, 0.0, crate::Dtype::Float64);
        assert_eq!(tensor.data.len(), data.len(), "`{name}`: {} values for the shape {shape:?}", data.len());
        tensor.data = data.to_vec().into();
        self.tensor(name, Tensor(tensor))
    }

    /// Adds an `int64` tensor.
    #[must_use]
    #[track_caller]
    pub fn ints(self, name: &str, shape: &[u32], data: &[i64]) -> Self {
        self.tensor(name, crate::tensor::from_int64(data, shape))
    }

    /// Adds any tensor.
    #[must_use]
    pub fn tensor(mut self, name: &str, tensor: Tensor) -> Self {
        self.0.0.push((name.into(), tensor.0));
        self
    }

    /// The batch.
    pub fn build(self) -> Batch {
        Batch(self.0)
    }
}

/// Samples with one text field each, keyed `test:1`, `test:2`, and so on.
pub fn texts(field: &str, rows: &[&str]) -> Vec<Sample> {
    rows.iter()
        .enumerate()
        .map(|(i, text)| Sample {
            key: format!("test:{}", i + 1),
            seed: i as u64,
            fields: vec![(field.into(), Value::from(*text))],
        })
        .collect()
}

/// What became of each row: its new versions, or the reason it was dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It went on, as these rows.
    Kept(Vec<Fields>),
    /// It was rejected for this reason.
    Rejected(String),
    /// It is in neither list.
    Filtered,
}

impl Fate {
    /// The text in `field` of the only row it became.
    pub fn text(&self, field: &str) -> Option<&str> {
        match self {
            Self::Kept(rows) if rows.len() == 1 => rows[0].iter().find_map(|(name, value)| match value {
                Value::Text(text) if name == field => Some(text.as_str()),
                _ => None,
            }),
            _ => None,
        }
    }

    /// Why it was rejected.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Rejected(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Runs rows through a preprocessor in batches of `size`, and says what became of each.
///
/// # Errors
/// Those of the preprocessor.
///
/// # Panics
/// When a result breaks the contract: a source outside its batch, or a sample
/// that is both kept and rejected.
pub fn run_rows<P: Preprocessor>(preprocessor: &mut P, rows: &[Sample], size: usize) -> Result<Vec<Fate>> {
    let mut fates = Vec::new();
    for batch in rows.chunks(size.max(1)) {
        let BatchResult { outputs, rejected } = preprocessor.process(batch.to_vec())?;
        let mut own = vec![Fate::Filtered; batch.len()];
        for output in outputs {
            match &mut own[output.source as usize] {
                Fate::Kept(rows) => rows.push(output.fields),
                slot => *slot = Fate::Kept(vec![output.fields]),
            }
        }
        for rejection in rejected {
            let slot = &mut own[rejection.source as usize];
            assert!(!matches!(slot, Fate::Kept(_)), "sample {} is both kept and rejected", rejection.source);
            *slot = Fate::Rejected(rejection.reason);
        }
        fates.append(&mut own);
    }
    Ok(fates)
}

/// Runs batches through a metric from its empty state.
///
/// # Errors
/// Those of the metric.
pub fn observe<M: Metric>(metric: &M, batches: &[Batch]) -> Result<M::State> {
    let mut state = M::State::default();
    for batch in batches {
        metric.update(&mut state, batch)?;
    }
    Ok(state)
}

/// An answer and what would have been right, without a prompt.
pub fn text(prediction: &str, references: &[&str]) -> TextExample {
    TextExample {
        prompt: String::new(),
        prediction: prediction.to_owned(),
        references: references.iter().map(|reference| (*reference).to_owned()).collect(),
        extra: "{}".to_owned(),
    }
}

/// Runs answers through a metric from its empty state, one after the other.
///
/// # Errors
/// Those of the metric.
pub fn read_texts<M: TextMetric>(metric: &M, texts: &[TextExample]) -> Result<M::State> {
    let mut state = M::State::default();
    for text in texts {
        metric.update_texts(&mut state, std::slice::from_ref(text))?;
    }
    Ok(state)
}

/// Checks that merging parts gives what one pass gives, in whatever order and
/// grouping, that the empty state changes nothing, and that a snapshot loses nothing.
///
/// # Errors
/// Those of the metric.
///
/// # Panics
/// When a law does not hold; says which.
pub fn check_metric_laws<M: Metric>(metric: &M, batches: [&[Batch]; 3]) -> Result<()> {
    let parts = [observe(metric, batches[0])?, observe(metric, batches[1])?, observe(metric, batches[2])?];
    let mut whole = M::State::default();
    for batch in batches.into_iter().flatten() {
        metric.update(&mut whole, batch)?;
    }
    check_laws(metric, parts, whole)
}

/// [`check_metric_laws`] for a metric that reads texts.
///
/// # Errors
/// Those of the metric.
///
/// # Panics
/// When a law does not hold; says which.
pub fn check_text_metric_laws<M: TextMetric>(metric: &M, texts: [&[TextExample]; 3]) -> Result<()> {
    let parts = [read_texts(metric, texts[0])?, read_texts(metric, texts[1])?, read_texts(metric, texts[2])?];
    check_laws(metric, parts, read_texts(metric, &texts.concat())?)
}

fn check_laws<M: Metric>(metric: &M, parts: [M::State; 3], whole: M::State) -> Result<()> {
    let parts: Vec<Vec<u8>> = parts.iter().map(state::encode).collect::<Result<_>>()?;
    let fold = |parts: &[&[u8]]| -> Result<Vec<u8>> {
        let mut all = M::State::default();
        for part in parts {
            metric.merge(&mut all, state::decode(part)?)?;
        }
        state::encode(&all)
    };
    let [a, b, c] = [&parts[0][..], &parts[1][..], &parts[2][..]];
    let empty = state::encode(&M::State::default())?;

    same(metric, &fold(&[a])?, a, "merging into the empty state gives the state")?;
    same(metric, &fold(&[a, &empty])?, a, "merging the empty state changes nothing")?;
    same(metric, &fold(&[a, b])?, &fold(&[b, a])?, "merge is commutative")?;
    same(metric, &fold(&[&fold(&[a, b])?, c])?, &fold(&[a, &fold(&[b, c])?])?, "merge is associative")?;
    same(metric, &fold(&[a, b, c])?, &state::encode(&whole)?, "parts merge to what one pass gives")
}

/// Two states are one when the values they give are, to rounding.
fn same<M: Metric>(metric: &M, left: &[u8], right: &[u8], law: &str) -> Result<()> {
    let values = |bytes: &[u8]| metric.compute(&state::decode(bytes)?);
    let (left, right) = (values(left)?, values(right)?);
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    let equal = left.len() == right.len() && left.iter().zip(&right).all(|(l, r)| l.0 == r.0 && close(l.1, r.1));
    assert!(equal, "{law}: {left:?} is not {right:?}");
    Ok(())
}

/// Gives the plugin under test, on this thread, a tokenizer for which each of
/// these words is a token, and any other is the one after the last, `<unk>`.
pub fn use_words(words: &[&str]) {
    mock::tokenizer::set(words);
}

/// The log lines this thread wrote since the last call.
pub fn logs() -> Vec<(Level, String)> {
    mock::logging::take()
}

/// Asserts that two lists of numbers agree to `tolerance`, and says where they do not.
///
/// # Panics
/// When they do not.
#[track_caller]
pub fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{actual:?} and {expected:?} are of different length");
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - e).abs() <= tolerance, "element {i}: {a} is not {e} (±{tolerance})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PreprocessorContract, ValueSpec};

    /// Counts batches, and forgets what it had when it merges if it is `forgetful`.
    struct Counter {
        forgetful: bool,
    }

    impl Metric for Counter {
        type Config = ();
        type State = u64;

        fn new(_: (), _: u64) -> Result<Self> {
            Ok(Self { forgetful: false })
        }

        fn describe(&self) -> Vec<ValueSpec> {
            vec![ValueSpec::higher("batches")]
        }

        fn update(&self, state: &mut u64, _: &Batch) -> Result<()> {
            *state += 1;
            Ok(())
        }

        fn merge(&self, state: &mut u64, other: u64) -> Result<()> {
            *state = if self.forgetful { other } else { *state + other };
            Ok(())
        }

        fn compute(&self, state: &u64) -> Result<Vec<(String, f64)>> {
            Ok(vec![("batches".into(), *state as f64)])
        }
    }

    fn three_parts(metric: &Counter) {
        let part = |n: usize| (0..n).map(|_| batch().build()).collect::<Vec<_>>();
        let (a, b, c) = (part(1), part(2), part(3));
        check_metric_laws(metric, [&a, &b, &c]).unwrap();
    }

    #[test]
    fn a_metric_that_counts_keeps_the_laws() {
        three_parts(&Counter { forgetful: false });
    }

    #[test]
    #[should_panic(expected = "merging the empty state changes nothing")]
    fn a_metric_that_forgets_breaks_one() {
        three_parts(&Counter { forgetful: true });
    }

    /// Doubles `a`, drops `b`, and says nothing of the rest.
    struct Picky;

    impl Preprocessor for Picky {
        type Config = ();

        fn new(_: (), _: u64) -> Result<Self> {
            Ok(Self)
        }

        fn describe(&self) -> PreprocessorContract {
            PreprocessorContract::default()
        }

        fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
            let mut result = BatchResult::default();
            for (source, sample) in batch.into_iter().enumerate() {
                match sample.text("text")? {
                    "a" => {
                        result.keep(source, sample.fields.clone());
                        result.keep(source, sample.fields);
                    }
                    "b" => result.reject(source, "is-b"),
                    _ => {}
                }
            }
            Ok(result)
        }
    }

    #[test]
    fn every_row_has_a_fate() {
        let rows = texts("text", &["a", "b", "c"]);
        for size in [1, 2, 64] {
            let fates = run_rows(&mut Picky, &rows, size).unwrap();
            let twice = Fate::Kept(vec![rows[0].fields.clone(), rows[0].fields.clone()]);
            assert_eq!(fates, [twice, Fate::Rejected("is-b".into()), Fate::Filtered], "batches of {size}");
        }
    }
}
