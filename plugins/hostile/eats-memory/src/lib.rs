//! Attack: keeps every row it sees a thousand times. Answered by the memory limit.

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
        let mut kept: Vec<Vec<u8>> = Vec::new();
        loop {
            kept.push(vec![batch.len() as u8; 1 << 20]);
            if std::hint::black_box(kept.len()) == usize::MAX {
                return Ok(BatchResult::default());
            }
        }
    }
}

retune_sdk::export!(preprocessor: Hostile);
