//! What a recipe says of conversations.

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Result, Text};
use crate::{Recipe, resolved};

/// A recipe of a language model whose section `data` ends with `lines`.
fn read(task: &str, lines: &str) -> Result<Recipe> {
    let text = format!("[model]\nbase = \"b\"\ntask = \"{task}\"\n[data]\ntrain = \"a.jsonl\"\n{lines}\n");
    Recipe::parse(Text { name: "recipe.toml".into(), text: Arc::from(text) }, Path::new("/here"), "recipe")
}

#[test]
fn messages_bring_a_chat_with_its_defaults_and_rows() {
    let recipe = read("causal-lm", "columns = { messages = \"talk\" }").unwrap();
    let written = resolved::resolved(&recipe);
    assert!(
        written.contains("columns = { messages = \"talk\" }\nchat = { learn = \"assistant\", weight = \"weight\", variables = {}, wrap = false }"),
        "{written}"
    );
    assert!(written.contains("layout = \"rows\""), "{written}");
    let plain = resolved::resolved(&read("causal-lm", "columns = { prompt = \"q\", completion = \"a\" }").unwrap());
    assert!(!plain.contains("chat"), "{plain}");
}

#[test]
fn a_task_by_another_name_is_told_once_and_nothing_is_said_of_the_keys_that_depend_on_it() {
    let told = |task: &str| {
        let error =
            read(task, "columns = { messages = \"m\" }\nchat = { learn = \"last\" }\nlayout = \"packed\"").unwrap_err();
        error.render(false, None)
    };
    let chat = told("chat");
    assert!(chat.contains("`model.task` cannot be `chat`") && chat.contains("did you mean `causal-lm`?"), "{chat}");
    assert_eq!(chat.matches('×').count(), 1, "{chat}");
    assert!(told("NER").contains("did you mean `token-classification`?"));
    assert!(told("text_classification").contains("did you mean `sequence-classification`?"));
    assert!(told("casual-lm").contains("did you mean `causal-lm`?"));
}

#[test]
fn a_template_is_a_path_only_where_it_is_a_file() {
    let template = |value: &str| {
        let recipe =
            read("causal-lm", &format!("columns = {{ messages = \"m\" }}\nchat = {{ template = \"{value}\" }}"));
        recipe.unwrap().data.chat.unwrap().template.unwrap()
    };
    assert_eq!(template("mine/chat.jinja"), "/here/mine/chat.jinja");
    assert_eq!(template("tool_use"), "tool_use");
}

#[test]
fn a_recipe_with_everything_of_a_chat_reads_back_as_itself() {
    let lines = "columns = { messages = \"m\", tools = \"t\" }\nchat = { learn = \"last\", weight = \"train\", template = \"x.jinja\", \
                 variables = { enable_thinking = false, names = [\"a\"] }, date = \"2026-11-26\" }";
    let written = resolved::resolved(&read("causal-lm", lines).unwrap());
    let text = Text { name: "recipe.toml".into(), text: Arc::from(written.as_str()) };
    assert_eq!(resolved::resolved(&Recipe::parse(text, Path::new("/here"), "recipe").unwrap()), written);
}

#[test]
fn what_makes_no_sense_of_a_chat_is_refused_where_it_stands() {
    let wrong = [
        ("causal-lm", "columns = { messages = \"m\", text = \"t\" }"),
        ("causal-lm", "columns = { messages = \"m\", prompt = \"q\", completion = \"a\" }"),
        ("causal-lm", "columns = { completion = \"a\", tools = \"t\" }"),
        ("causal-lm", "columns = { messages = \"m\" }\nlayout = \"blocks\""),
        ("causal-lm", "columns = { messages = \"m\" }\nchat = { wrap = true }"),
        ("causal-lm", "columns = { completion = \"a\" }\nchat = { wrap = true }"),
        ("causal-lm", "columns = { prompt = \"q\", completion = \"a\" }\nchat = { learn = \"last\" }"),
        ("causal-lm", "chat = { learn = \"last\" }"),
        ("causal-lm", "columns = { messages = \"m\" }\nchat = { learn = \"lats\" }"),
        ("causal-lm", "columns = { messages = \"m\" }\nchat = { date = \"26 Nov 2026\" }"),
        ("causal-lm", "columns = { messages = \"m\" }\nchat = { variables = { tools = 1 } }"),
        ("causal-lm", "columns = { messages = \"m\" }\nchat = { train_on_inputs = true }"),
        ("sequence-classification", "columns = { messages = \"m\" }"),
        ("sequence-classification", "chat = { learn = \"all\" }"),
    ];
    let said = wrong.map(|(task, lines)| match read(task, lines) {
        Ok(_) => panic!("this recipe was accepted:\n{lines}"),
        Err(diagnostic) => diagnostic.render(false, None),
    });
    insta::assert_snapshot!(said.join("\n"));
}
