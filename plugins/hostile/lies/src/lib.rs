//! Mistake: names a row that is not in the batch. Answered by checking every claim.

use retune_sdk::{BatchResult, Preprocessor, PreprocessorContract, Result, Sample};

/// The plugin.
pub struct Hostile;

impl Preprocessor for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self) -> PreprocessorContract {
        PreprocessorContract {
            reads: vec!["text".into()],
            writes: vec!["text".into()],
            stateful: false,
            cacheable: true,
        }
    }

    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
        let mut result = BatchResult::default();
        for sample in batch {
            result.keep(99, sample.fields);
        }
        Ok(result)
    }
}

retune_sdk::export!(preprocessor: Hostile);
