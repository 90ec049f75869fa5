//! What a plugin may ask of the run's tokenizer, and how much at a time.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{Lengths, plugin, samples, setup, shown};
use insta::assert_snapshot;
use retune_roles::{Failure, Value};
use retune_sandbox::{Limits, Setup};

fn babbled(what: &str, tokenizer: &Arc<Lengths>, limits: Limits) -> Result<String, Failure> {
    let plugin = plugin("hostile/babbles");
    let setup = Setup { tokenizer: Some(tokenizer.clone()), limits, ..setup(&plugin) };
    let result = plugin.preprocessor(&setup).unwrap().process(&samples(&[what]))?;
    let Value::Text(told) = &result.outputs[0].fields[0].1 else { panic!("no text") };
    Ok(told.clone())
}

#[test]
fn more_text_than_a_tokenizer_should_be_given_is_refused_before_it_sees_any() {
    let tokenizer = Arc::new(Lengths::default());
    let told = |what| shown(&babbled(what, &tokenizer, Limits::default()).unwrap_err());
    assert_snapshot!([told("a long text"), told("many texts"), told("many ids")].join("\n"));
    assert_eq!(tokenizer.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn the_deadline_is_looked_at_between_texts() {
    let tokenizer = Arc::new(Lengths { toil: 10, ..Lengths::default() });
    let limits = Limits { deadline_ms: 300, ..Limits::default() };
    assert_snapshot!(shown(&babbled("slow texts", &tokenizer, limits).unwrap_err()));
    assert!(tokenizer.asked.load(Ordering::Relaxed) < 10_000);
}

#[test]
fn the_sdk_gives_the_tokenizer_a_list_of_any_length() {
    let tokenizer = Arc::new(Lengths::default());
    let told = babbled("the SDK", &tokenizer, Limits::default()).unwrap();
    // A text ends with a space, after which there is an empty word.
    assert_eq!(told, "200 texts, 2000200 tokens");
    assert_eq!(tokenizer.asked.load(Ordering::Relaxed), 200);
}
