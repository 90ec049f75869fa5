//! Accident: one generated answer provokes a panic. Answered by the key of its row.

use retune_sdk::{Metric, Result, TextExample, TextMetric, ValueSpec};

/// The plugin.
pub struct Hostile;

impl Metric for Hostile {
    type Config = ();
    type State = u64;

    fn new(_: (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self) -> Vec<ValueSpec> {
        vec![ValueSpec::higher("answers")]
    }

    fn merge(&self, state: &mut u64, other: u64) -> Result<()> {
        *state += other;
        Ok(())
    }

    fn compute(&self, state: &u64) -> Result<Vec<(String, f64)>> {
        Ok(vec![("answers".into(), *state as f64)])
    }
}

impl TextMetric for Hostile {
    fn update_texts(&self, state: &mut u64, texts: &[TextExample]) -> Result<()> {
        for text in texts {
            assert_ne!(text.prediction, "poison", "the answer is poison");
            *state += 1;
        }
        Ok(())
    }
}

retune_sdk::export!(text_metric: Hostile);
