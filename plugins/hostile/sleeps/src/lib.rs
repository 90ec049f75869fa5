//! Attack: sleeps for a year, which no deadline of instructions would notice. Answered by waking it at once.

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
        std::thread::sleep(std::time::Duration::from_secs(365 * 24 * 3600));
        let mut result = BatchResult::default();
        for (source, sample) in batch.into_iter().enumerate() {
            result.keep(source, sample.fields);
        }
        Ok(result)
    }
}

retune_sdk::export!(preprocessor: Hostile);
