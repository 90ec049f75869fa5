//! Attack: looks for whatever the machine might give away, and reports it in its rows: environment, arguments,
//! files, time. Answered with nothing.

use retune_sdk::{BatchResult, Preprocessor, PreprocessorContract, Result, Sample};
use std::time::SystemTime;

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
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_secs());
        let found = format!(
            "{} variables, {} arguments, root {}, host name {}, time {time}, stdin {}",
            std::env::vars().count(),
            std::env::args().count(),
            std::fs::read_dir("/").map_or("closed", |_| "open"),
            std::fs::read_to_string("/etc/hostname").map_or("unknown", |_| "known"),
            std::io::stdin().read_line(&mut String::new()).unwrap_or(0),
        );
        let mut result = BatchResult::default();
        for (source, mut sample) in batch.into_iter().enumerate() {
            sample.set("text", found.clone());
            result.keep(source, sample.fields);
        }
        Ok(result)
    }
}

retune_sdk::export!(preprocessor: Hostile);
