//! Attack: gives the run's tokenizer more than it can take; the row says what. Answered by the bounds of a call, before
//! the tokenizer sees any.
//! Text: a long text

use retune_sdk::{BatchResult, Preprocessor, PreprocessorContract, Result, Sample};

/// The plugin.
pub struct Hostile;

impl Preprocessor for Hostile {
    type Config = ();

    fn new((): (), _seed: u64) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self) -> PreprocessorContract {
        let field = vec!["text".to_owned()];
        PreprocessorContract { reads: field.clone(), writes: field, stateful: false, cacheable: true }
    }

    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, mut sample) in batch.into_iter().enumerate() {
            let told = babble(sample.text("text")?);
            sample.set("text", told);
            result.keep(source, sample.fields);
        }
        Ok(result)
    }
}

/// The bindings, because the SDK's own functions cut what they are given into parts.
#[cfg(target_arch = "wasm32")]
fn babble(what: &str) -> String {
    use retune_sdk::bindings::host::retune::plugin::tokenizer::current;
    let tokenizer = match current() {
        Ok(tokenizer) => tokenizer,
        Err(error) => return error.message,
    };
    let short = |count| vec!["word".to_owned(); count];
    let outcome = match what {
        "a long text" => tokenizer.encode(&["x".repeat(5 << 20)], false).map(|found| found.len()),
        "many texts" => tokenizer.count(&short(1 << 18)).map(|found| found.len()),
        "many ids" => tokenizer.decode(&[vec![1; 2 << 20]], false).map(|found| found.len()),
        "slow texts" => tokenizer.encode(&short(10_000), false).map(|found| found.len()),
        "the SDK" => {
            let texts = vec!["word ".repeat(10_000); 200];
            return match retune_sdk::tokenizer::current().and_then(|tokenizer| tokenizer.count(&texts)) {
                Ok(counts) => format!("{} texts, {} tokens", counts.len(), counts.iter().sum::<u32>()),
                Err(error) => error.message,
            };
        }
        other => return format!("cannot say `{other}`"),
    };
    outcome.map_or_else(|error| error.message, |count| format!("{count} answers"))
}

#[cfg(not(target_arch = "wasm32"))]
fn babble(_: &str) -> String {
    "outside the sandbox".into()
}

retune_sdk::export!(preprocessor: Hostile);
