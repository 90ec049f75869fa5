//! What a recipe says of generated answers, and what is refused of it.

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Result, Text};
use crate::{Generate, Recipe};

fn read(task: &str, data: &str, generate: &str) -> Result<Recipe> {
    let text = format!(
        "[model]\nbase = \"b\"\ntask = \"{task}\"\n[data]\ntrain = \"a.jsonl\"\n{data}\n[evaluation]\ngenerate = {{ {generate} }}\n"
    );
    Recipe::parse(Text { name: "recipe.toml".into(), text: Arc::from(text) }, Path::new("/here"), "recipe")
}

const CHATS: &str = "validation = { split = 0.1 }\ncolumns = { messages = \"messages\" }";

#[test]
fn answers_are_the_most_probable_ones_of_a_hundred_rows_unless_something_else_is_said() {
    let generate = |keys: &str| read("causal-lm", CHATS, keys).unwrap().evaluation.generate.unwrap();
    let plain = Generate {
        rows: 100,
        max_new_tokens: 256,
        batch_size: 16,
        temperature: None,
        top_k: None,
        top_p: None,
        min_p: None,
        repetition_penalty: 1.0,
        stop_strings: None,
    };
    assert_eq!(generate(""), plain);
    let stopped = Generate { repetition_penalty: 0.9, stop_strings: Some(vec!["\n\n".to_owned()]), ..plain.clone() };
    assert_eq!(generate("stop_strings = [\"\\n\\n\"], repetition_penalty = 0.9"), stopped);
    let drawn = Generate { rows: 8, temperature: Some(0.7), top_p: Some(0.9), ..plain };
    assert_eq!(generate("rows = 8, temperature = 0.7, top_p = 0.9"), drawn);
}

#[test]
fn answers_to_rows_that_ask_nothing_are_refused_with_the_way_out() {
    let split = "validation = { split = 0.1 }";
    let refused = [
        ("sequence-classification", split.to_owned(), ""),
        ("causal-lm", split.to_owned(), ""),
        ("causal-lm", format!("{split}\ncolumns = {{ completion = \"a\" }}"), ""),
        ("causal-lm", format!("{split}\ncolumns = {{ prompt = \"q\", completion = \"a\" }}\nlayout = \"blocks\""), ""),
        ("causal-lm", format!("{CHATS}\nchat = {{ learn = \"all\" }}"), ""),
        ("causal-lm", "columns = { messages = \"messages\" }".to_owned(), ""),
        ("causal-lm", CHATS.to_owned(), "rows = 0"),
        ("causal-lm", CHATS.to_owned(), "max_new_tokens = 0"),
        ("causal-lm", CHATS.to_owned(), "temperature = 0.0"),
        ("causal-lm", CHATS.to_owned(), "top_k = 5"),
        ("causal-lm", CHATS.to_owned(), "min_p = 0.1"),
        ("causal-lm", CHATS.to_owned(), "temperature = 1.0, min_p = 1.5"),
        ("causal-lm", CHATS.to_owned(), "temperature = 1.0, top_p = 0.0"),
        ("causal-lm", CHATS.to_owned(), "repetition_penalty = 0.0"),
        ("causal-lm", CHATS.to_owned(), "stop_strings = [\"\"]"),
        ("causal-lm", CHATS.to_owned(), "stop_strings = \"User:\""),
        ("causal-lm", CHATS.to_owned(), "max_tokens = 5"),
    ];
    let shown =
        refused.iter().map(|(task, data, generate)| read(task, data, generate).unwrap_err().render(false, None));
    insta::assert_snapshot!("answers_that_are_refused", shown.collect::<Vec<_>>().join("\n"));
}
