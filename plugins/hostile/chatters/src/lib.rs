//! Nuisance: a hundred thousand lines to every stream there is. Answered by keeping the last of them.
//! Limits: {"deadline_ms": 60000}

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
        for line in 0..100_000 {
            println!("line {line}");
            eprintln!("line {line}");
            retune_sdk::logging::info(format!("line {line}"));
        }
        let mut result = BatchResult::default();
        for (source, sample) in batch.into_iter().enumerate() {
            result.keep(source, sample.fields);
        }
        Ok(result)
    }
}

retune_sdk::export!(preprocessor: Hostile);
