//! Attack: a row of a hundred megabytes. Answered by the limit on copies.
//! Limits: {"memory_mib": 512}

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
        for (source, mut sample) in batch.into_iter().enumerate() {
            sample.set("text", "x".repeat(100 << 20));
            result.keep(source, sample.fields);
        }
        Ok(result)
    }
}

retune_sdk::export!(preprocessor: Hostile);
