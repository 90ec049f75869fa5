//! Attack: looks for whatever the machine might give away, and reports it in its rows: environment, arguments,
//! files, time. Answered with nothing. The run's tokenizer is the one thing it may have.

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
            "{} variables, {} arguments, root {}, host name {}, time {time}, stdin {}, {}",
            std::env::vars().count(),
            std::env::args().count(),
            std::fs::read_dir("/").map_or("closed", |_| "open"),
            std::fs::read_to_string("/etc/hostname").map_or("unknown", |_| "known"),
            std::io::stdin().read_line(&mut String::new()).unwrap_or(0),
            tokenizer(),
        );
        let mut result = BatchResult::default();
        for (source, mut sample) in batch.into_iter().enumerate() {
            sample.set("text", found.clone());
            result.keep(source, sample.fields);
        }
        Ok(result)
    }
}

/// What the run's tokenizer makes of two words and back.
#[cfg(target_arch = "wasm32")]
fn tokenizer() -> String {
    use retune_sdk::bindings::host::retune::plugin::tokenizer::current;
    let tokenizer = match current() {
        Ok(tokenizer) => tokenizer,
        Err(error) => return error.message,
    };
    let texts = ["two words".to_owned()];
    let ids: Vec<Vec<u32>> = match tokenizer.encode(&texts, true) {
        Ok(encodings) => encodings.into_iter().map(|encoding| encoding.ids).collect(),
        Err(error) => return error.message,
    };
    format!(
        "tokenizer {} of {}: {ids:?}, {:?} without special ones, back as {:?}, end {:?}, [UNK] {:?}, chat {:?}",
        tokenizer.name(),
        tokenizer.vocab_size(),
        tokenizer.count(&texts).unwrap_or_default(),
        tokenizer.decode(&ids, true).unwrap_or_default(),
        tokenizer.eos(),
        tokenizer.token_id("[UNK]"),
        tokenizer.apply_chat_template(&[], false).map_err(|error| error.message),
    )
}

#[cfg(not(target_arch = "wasm32"))]
fn tokenizer() -> String {
    "outside the sandbox".into()
}

retune_sdk::export!(preprocessor: Hostile);
