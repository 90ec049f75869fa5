//! Accident: one row among many provokes a panic. Answered by the key of that row.

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
        for (source, sample) in batch.into_iter().enumerate() {
            let number = number_in(sample.text("text")?);
            assert!(number != 13, "thirteen");
            result.keep(source, sample.fields);
        }
        Ok(result)
    }
}

/// The number a text ends with.
fn number_in(text: &str) -> u32 {
    text.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

retune_sdk::export!(preprocessor: Hostile);
