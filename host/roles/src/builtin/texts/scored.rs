//! A metric whose state is the number of answers and a few sums over them.
//!
//! State: the number as u64 and the sums as f64, little-endian. Sums of counts stay exact up to 2^53.

use crate::{Batch, Failure, InputSpec, Metric, Reads, Result, RoleKind, TextExample, ValueSpec};

/// What is computed of each answer, and of the sums over all.
pub trait Score {
    /// Its name in recipes.
    fn name(&self) -> &'static str;
    /// What it gives.
    fn values(&self) -> Vec<ValueSpec>;
    /// How many sums it keeps.
    fn width(&self) -> usize;
    /// Adds what one answer, which has a reference, comes to.
    fn add(&self, example: &TextExample, sums: &mut [f64]);
    /// The values, in their order, of `rows` answers, one at least.
    fn compute(&self, rows: f64, sums: &[f64]) -> Vec<f64>;
}

/// A [`Score`] as a metric. Its values are NaN when there was no answer.
pub struct Scored<S> {
    score: S,
    rows: u64,
    sums: Vec<f64>,
    values: Vec<ValueSpec>,
}

impl<S: Score> Scored<S> {
    /// With nothing counted.
    pub fn new(score: S) -> Self {
        Self { rows: 0, sums: vec![0.0; score.width()], values: score.values(), score }
    }
}

/// A plain number of which more is better.
pub(super) fn higher(name: &str) -> ValueSpec {
    ValueSpec { name: name.into(), unit: None, higher_is_better: true }
}

impl<S: Score> Metric for Scored<S> {
    fn name(&self) -> &str {
        self.score.name()
    }

    fn describe(&self) -> &[ValueSpec] {
        &self.values
    }

    fn reads(&self) -> Reads {
        Reads::TEXTS
    }

    fn wants(&self) -> &[InputSpec] {
        &[]
    }

    fn update(&mut self, _: &Batch) -> Result<()> {
        Ok(())
    }

    fn update_texts(&mut self, texts: &[TextExample]) -> Result<()> {
        for example in texts {
            if example.references.is_empty() {
                let failure =
                    Failure::new(self.name(), RoleKind::Metric, "update", "there is no reference to compare with");
                return Err(failure.at(format!("row {}", example.key)));
            }
            self.score.add(example, &mut self.sums);
            self.rows += 1;
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Vec<u8>> {
        let sums = self.sums.iter().flat_map(|sum| sum.to_le_bytes());
        Ok(self.rows.to_le_bytes().into_iter().chain(sums).collect())
    }

    fn merge(&mut self, snapshot: &[u8]) -> Result<()> {
        let expected = 8 * (1 + self.sums.len());
        let ([rows, sums @ ..], []) = snapshot.as_chunks::<8>() else {
            let reason = format!("the state has {} bytes, expected {expected}", snapshot.len());
            return Err(Failure::new(self.name(), RoleKind::Metric, "merge", reason));
        };
        if sums.len() != self.sums.len() {
            let reason = format!("the state has {} bytes, expected {expected}", snapshot.len());
            return Err(Failure::new(self.name(), RoleKind::Metric, "merge", reason));
        }
        self.rows += u64::from_le_bytes(*rows);
        for (sum, other) in self.sums.iter_mut().zip(sums) {
            *sum += f64::from_le_bytes(*other);
        }
        Ok(())
    }

    fn compute(&mut self) -> Result<Vec<(String, f64)>> {
        let names = self.values.iter().map(|value| value.name.clone());
        Ok(match self.rows {
            0 => names.map(|name| (name, f64::NAN)).collect(),
            rows => names.zip(self.score.compute(rows as f64, &self.sums)).collect(),
        })
    }

    fn reset(&mut self) -> Result<()> {
        self.rows = 0;
        self.sums.fill(0.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::texts::{ExactMatch, ExactMatchConfig};

    fn metric() -> Scored<ExactMatch> {
        Scored::new(ExactMatch::new(ExactMatchConfig::default()))
    }

    #[test]
    fn parts_merge_to_the_whole_and_a_reset_forgets() {
        let rows = [
            TextExample::new("a", "x", &["x"]),
            TextExample::new("b", "x", &["y"]),
            TextExample::new("c", "z", &["z"]),
        ];
        let (mut whole, mut folded) = (metric(), metric());
        whole.update_texts(&rows).unwrap();
        for row in rows.iter().rev() {
            let mut part = metric();
            part.update_texts(std::slice::from_ref(row)).unwrap();
            folded.merge(&part.snapshot().unwrap()).unwrap();
        }
        assert_eq!(whole.snapshot().unwrap(), folded.snapshot().unwrap());
        assert_eq!(whole.compute().unwrap(), [("exact_match".to_owned(), 2.0 / 3.0)]);
        whole.reset().unwrap();
        assert!(whole.compute().unwrap()[0].1.is_nan());
    }

    #[test]
    fn a_torn_state_and_a_row_without_a_reference_are_refused() {
        for bytes in [15, 8, 24] {
            let failure = metric().merge(&vec![0; bytes]).unwrap_err().to_string();
            assert!(failure.contains(&format!("the state has {bytes} bytes, expected 16")), "{failure}");
        }
        let failure = metric().update_texts(&[TextExample::new("train.csv:7", "x", &[])]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "metric exact-match failed in `update` at row train.csv:7: there is no reference to compare with"
        );
    }
}
