//! Attack: calls itself without end. Answered by the end of its stack.

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
        let depth = depth(batch.len() as u64);
        let mut result = BatchResult::default();
        result.reject(0, depth.to_string());
        Ok(result)
    }
}

#[allow(unconditional_recursion, reason = "the attack")]
#[inline(never)]
fn depth(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    depth(n + 1) + frame[(n % 64) as usize]
}

retune_sdk::export!(preprocessor: Hostile);
