use std::path::{Path, PathBuf};

use retune_roles::{Message as Turn, Tokenizer as _};
use serde_json::{Value as Json, json};

use super::*;
use crate::LentTokenizer;
use crate::record::{Record, fields_of_json};

/// Our own templates, or those of other people that somebody wants compared (`tests/reference/make_chat_fixtures.py`).
fn folder() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/chat");
    std::env::var_os("RETUNE_CHAT_TEMPLATES").map_or_else(own, PathBuf::from)
}

fn tokenizer() -> Tokenization {
    Tokenization::open(&folder()).unwrap()
}

fn spec(template: &str) -> ChatSpec {
    let file = folder().join(format!("{template}.jinja"));
    ChatSpec { template: Some(TemplateRef::File(file)), date: Some("2026-11-26".to_owned()), ..ChatSpec::default() }
}

fn conversation(messages: &Json, tools: &Json) -> Result<Conversation> {
    let row = json!({"messages": messages, "tools": tools}).to_string();
    let record = Record::new("t.jsonl", 3, fields_of_json(&row, String::new).unwrap());
    Conversation::read(&record, "messages", Some("tools"), "weight")
}

fn encode(spec: &ChatSpec, messages: &Json) -> Result<Encoded> {
    let chat = Chat::new(spec, &tokenizer())?;
    chat.encode(&conversation(messages, &Json::Null)?, "t.jsonl:3", false)
}

/// The text of what is learnt, a string for each range.
fn learnt(made: &Encoded) -> Vec<String> {
    let part = |range: &Range<u32>| made.ids[range.start as usize..range.end as usize].to_vec();
    tokenizer().decode(&made.learnt.iter().map(part).collect::<Vec<_>>(), false).unwrap()
}

fn said(error: DataError) -> String {
    format!("{error}\n    {}", error.help().unwrap_or_default())
}

/// `[user, assistant, user, …]`.
fn talk(texts: &[&str]) -> Json {
    let turn = |(at, text): (usize, &&str)| {
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        json!({"role": role, "content": text})
    };
    texts.iter().enumerate().map(turn).collect()
}

#[test]
fn every_template_writes_the_text_the_ids_and_the_marks_that_transformers_writes() {
    let fixture: Json = serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let tokenizer = tokenizer();
    let (mut same, mut refused, mut wrong) = (0, 0, Vec::new());
    for (template, conversations) in fixture["expected"].as_object().unwrap() {
        let chat = Chat::new(&ChatSpec { learn: Learn::All, ..spec(template) }, &tokenizer).unwrap();
        let marked = Chat::new(&spec(template), &tokenizer).unwrap();
        for (name, expected) in conversations.as_object().unwrap() {
            let given = &fixture["conversations"][name];
            let conversation = conversation(&given["messages"], &given["tools"]).unwrap();
            for (prompt, expected) in [false, true].into_iter().zip(expected.as_array().unwrap()) {
                let case = format!("{template}, {name}, {prompt}");
                match (chat.encode(&conversation, "row", prompt), expected["text"].as_str()) {
                    (Ok(made), Some(text)) if made.text != text => wrong.push(format!("{case}\n{}\n{text}", made.text)),
                    (Ok(made), Some(_)) => {
                        assert_eq!(json!(made.ids), expected["ids"], "{case}");
                        same += 1;
                        let Some(mask) = expected["assistant"].as_array() else { continue };
                        let made = marked.encode(&conversation, "row", prompt).unwrap();
                        let ours = |at: &usize| made.learnt.iter().any(|range| range.contains(&(*at as u32)));
                        let ours: Vec<u8> = (0..made.ids.len()).map(|at| ours(&at).into()).collect();
                        assert_eq!(json!(ours), json!(mask), "{case}");
                    }
                    (Err(DataError::Chat(ChatError::TemplateRefuses { message, .. })), None) => {
                        assert_eq!(Some(message.as_str()), expected["refused"].as_str(), "{case}");
                        refused += 1;
                    }
                    (
                        Err(DataError::Chat(ChatError::TemplateFails { .. } | ChatError::ContentNotTaken { .. })),
                        None,
                    ) => {
                        assert!(expected["failed"].is_string(), "{case}: {expected}");
                        refused += 1;
                    }
                    (made, _) => wrong.push(format!("{case}: {made:?}, expected {expected}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!((same, refused), (fixture_counts(&fixture, true), fixture_counts(&fixture, false)));
}

fn fixture_counts(fixture: &Json, written: bool) -> usize {
    let all = fixture["expected"].as_object().unwrap().values().flat_map(|c| c.as_object().unwrap().values());
    all.flat_map(|pair| pair.as_array().unwrap()).filter(|one| one["text"].is_string() == written).count()
}

#[test]
fn of_every_template_the_answers_are_learnt_with_their_end_token_and_nothing_else() {
    let single = talk(&["What is two?", "Four."]);
    let several = talk(&["one", "two", "three", "four"]);
    let ends =
        [("chatml", "<|im_end|>"), ("llama3", "<|eot_id|>"), ("gemma3", "<end_of_turn>"), ("phi4", "<|im_end|>")];
    for (template, end) in ends {
        let made = encode(&spec(template), &single).unwrap();
        assert_eq!(learnt(&made), [format!("Four.{end}")], "{template}");
        assert!(!made.unended && !made.seam, "{template}");
        let made = encode(&spec(template), &several).unwrap();
        assert_eq!(learnt(&made), [format!("two{end}"), format!("four{end}")], "{template}");
        let made = encode(&ChatSpec { learn: Learn::Last, ..spec(template) }, &several).unwrap();
        assert_eq!(learnt(&made), [format!("four{end}")], "{template}");
        let made = encode(&spec(template), &talk(&["nothing", ""])).unwrap();
        assert_eq!(learnt(&made), [end], "{template}: an empty answer still ends");
        let made = encode(&spec(template), &talk(&["one", "two", "three"])).unwrap();
        assert_eq!(learnt(&made), [format!("two{end}")], "{template}");
    }
    // A space stands before an answer of Mistral's; its prompt has no header.
    assert_eq!(learnt(&encode(&spec("mistral"), &several).unwrap()), [" two</s>", " four</s>"]);
    assert_eq!(learnt(&encode(&spec("zephyr"), &several).unwrap()), ["two</s>", "four</s>"]);
}

#[test]
fn system_and_tools_are_read_and_calls_are_learnt() {
    let fixture: Json = serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let given = &fixture["conversations"]["tools"];
    let conversation = conversation(&given["messages"], &given["tools"]).unwrap();
    let made = |template: &str, learn| {
        Chat::new(&ChatSpec { learn, ..spec(template) }, &tokenizer()).unwrap().encode(&conversation, "row", false)
    };
    let call =
        "{\"name\": \"weather\", \"parameters\": {\"city\": \"Zürich\", \"days\": 2, \"at\": null, \"x\": 1e-05}}";
    assert_eq!(
        learnt(&made("llama3", Learn::Assistant).unwrap()),
        [format!("{call}<|eot_id|>"), "Yes, rain.<|eot_id|>".to_owned()]
    );
    assert_eq!(
        learnt(&made("qwen3", Learn::Last).unwrap()),
        ["<think>\n\n</think>\n\nYes, rain.<|im_end|>"],
        "the empty thought is the answer's"
    );
}

/// What is learnt of conversations with a system message, of an empty answer, of several turns, and with tools, written by hand
/// beside what `expected.json` has; `Err` where no part of the text can be told to be the answer, or the template refuses.
#[test]
fn of_every_well_known_template_what_is_learnt_is_what_a_reader_would_mark() {
    const CALL: &str = r#"{"city": "Zürich", "days": 2, "at": null, "x": 1e-05}"#;
    let fixture: Json = serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let nested = "other messages follow it";
    let coming = "it is still to come";
    let alternate = "Conversation roles must alternate";
    let call = |text: &str| text.replace("ARGUMENTS", CALL);
    let llama = call(r#"{"name": "weather", "parameters": ARGUMENTS}<|eot_id|>"#);
    let mistral = call(r#"[TOOL_CALLS] [{"name": "weather", "arguments": ARGUMENTS, "id": "abcdefghi"}]</s>"#);
    let thought = |text: &str| format!("<think>\n\n</think>\n\n{text}<|im_end|>");
    let (hi, nothing, four, rain) = (thought("Hi"), thought(""), thought("four"), thought("Yes, rain."));
    type Wanted<'a> = std::result::Result<&'a [&'a str], &'a str>;
    let cases: &[(&str, Learn, &str, Wanted)] = &[
        ("chatml", Learn::Assistant, "system", Ok(&["Hi<|im_end|>"])),
        ("chatml", Learn::Assistant, "empty", Ok(&["<|im_end|>"])),
        ("chatml", Learn::Assistant, "several", Ok(&["two<|im_end|>", "four<|im_end|>"])),
        ("chatml", Learn::Assistant, "tools", Err("cannot")),
        ("llama3", Learn::Assistant, "system", Ok(&["Hi<|eot_id|>"])),
        ("llama3", Learn::Assistant, "empty", Ok(&["<|eot_id|>"])),
        ("llama3", Learn::Assistant, "several", Ok(&["two<|eot_id|>", "four<|eot_id|>"])),
        ("llama3", Learn::Assistant, "tools", Ok(&[&llama, "Yes, rain.<|eot_id|>"])),
        ("qwen3", Learn::Assistant, "system", Ok(&[&hi])),
        ("qwen3", Learn::Assistant, "empty", Ok(&[&nothing])),
        ("qwen3", Learn::Assistant, "several", Err(nested)),
        ("qwen3", Learn::Last, "several", Ok(&[&four])),
        ("qwen3", Learn::Assistant, "tools", Err(nested)),
        ("qwen3", Learn::Last, "tools", Ok(&[&rain])),
        ("gemma3", Learn::Assistant, "system", Ok(&["Hi<end_of_turn>"])),
        ("gemma3", Learn::Assistant, "empty", Ok(&["<end_of_turn>"])),
        ("gemma3", Learn::Assistant, "several", Ok(&["two<end_of_turn>", "four<end_of_turn>"])),
        ("gemma3", Learn::Assistant, "tools", Err(alternate)),
        // It writes a system message before the last user's alone, so that the prompt has it and the whole has not.
        ("mistral", Learn::Assistant, "system", Err(coming)),
        ("mistral", Learn::Assistant, "empty", Ok(&[" </s>"])),
        ("mistral", Learn::Assistant, "several", Ok(&[" two</s>", " four</s>"])),
        ("mistral", Learn::Assistant, "tools", Err(coming)),
        ("mistral", Learn::Assistant, "tools without system", Ok(&[&mistral, " Yes, rain.</s>"])),
        ("zephyr", Learn::Assistant, "system", Ok(&["Hi</s>"])),
        ("zephyr", Learn::Assistant, "empty", Ok(&["</s>"])),
        ("zephyr", Learn::Assistant, "several", Ok(&["two</s>", "four</s>"])),
        ("zephyr", Learn::Assistant, "tools", Err("cannot")),
        ("phi4", Learn::Assistant, "system", Ok(&["Hi<|im_end|>"])),
        ("phi4", Learn::Assistant, "empty", Ok(&["<|im_end|>"])),
        ("phi4", Learn::Assistant, "several", Ok(&["two<|im_end|>", "four<|im_end|>"])),
        ("phi4", Learn::Assistant, "tools", Err("cannot")),
    ];
    for (template, learn, row, wanted) in cases {
        let (name, first) = row.strip_suffix(" without system").map_or((*row, 0), |name| (name, 1));
        let given = &fixture["conversations"][name];
        let messages = json!(given["messages"].as_array().unwrap()[first..]);
        let conversation = conversation(&messages, &given["tools"]).unwrap();
        let chat = Chat::new(&ChatSpec { learn: *learn, ..spec(template) }, &tokenizer()).unwrap();
        match (chat.encode(&conversation, "row", false), wanted) {
            (Ok(made), Ok(wanted)) => assert_eq!(learnt(&made), *wanted, "{template}, {row}"),
            (Err(error), Err(wanted)) => {
                let said = error.to_string();
                assert!(said.contains(wanted), "{template}, {row}: {said}");
                assert!(error.help().is_some_and(|help| !help.is_empty()), "{template}, {row}: {said}");
            }
            (made, wanted) => panic!("{template}, {row}: {made:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn a_weight_of_zero_is_read_and_not_learnt_with_and_without_marks() {
    let messages = json!([
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two", "weight": 0},
        {"role": "user", "content": "three"}, {"role": "assistant", "content": "four", "weight": 1},
        {"role": "user", "content": "five"}, {"role": "assistant", "content": "six", "weight": false},
    ]);
    assert_eq!(learnt(&encode(&spec("chatml"), &messages).unwrap()), ["four<|im_end|>"]);
    assert_eq!(learnt(&encode(&spec("marked"), &messages).unwrap()), ["four<|im_end|>"]);
    let last = ChatSpec { learn: Learn::Last, ..spec("chatml") };
    assert!(encode(&last, &messages).unwrap().learnt.is_empty());
}

#[test]
fn a_turn_that_begins_inside_a_token_is_noticed_and_learnt_whole() {
    let plain = encode(&spec("chatml"), &talk(&["a", "four"])).unwrap();
    assert!(!plain.seam);
    let parted = encode(&spec("mistral"), &talk(&["a", "four"])).unwrap();
    assert!(!parted.seam, "a special token stands before the answer");
    // The space at the end of the prompt and the answer's first letters are one token, which nobody sees behind the prompt.
    let directory = crate::testing::Directory::new();
    let text = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
    let template = Some(TemplateRef::File(directory.write("space.jinja", text)));
    let spec = ChatSpec { template, ..ChatSpec::default() };
    let joined = encode(&spec, &talk(&["a", "four"])).unwrap();
    assert!(joined.seam && !joined.unended);
    assert_eq!(learnt(&joined), [" four</s>"]);
}

#[test]
fn an_end_token_outside_the_marks_is_noticed() {
    let directory = crate::testing::Directory::new();
    let outside = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% generation %}{{ \
                   m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}";
    let file = directory.write("outside.jinja", outside);
    let spec = ChatSpec { template: Some(TemplateRef::File(file)), ..ChatSpec::default() };
    let made = encode(&spec, &talk(&["one", "two"])).unwrap();
    assert_eq!(learnt(&made), ["two"]);
    assert!(made.unended);
    let inside = outside.replace("{% endgeneration %}", "<|im_end|>\n{% endgeneration %}");
    let file = directory.write("inside.jinja", inside);
    let spec = ChatSpec { template: Some(TemplateRef::File(file)), ..ChatSpec::default() };
    let made = encode(&spec, &talk(&["one", "two"])).unwrap();
    assert!(!made.unended, "what is marked is learnt as it is, and a line break behind the end token is no harm");
    assert_eq!(learnt(&made), ["two<|im_end|>\n"]);
}

#[test]
fn what_cannot_be_honoured_is_refused_with_the_way_out() {
    let directory = crate::testing::Directory::new();
    let of = |name: &str, text: &str| ChatSpec {
        template: Some(TemplateRef::File(directory.write(name, text))),
        ..ChatSpec::default()
    };
    let last = |template: &str| ChatSpec { learn: Learn::Last, ..spec(template) };
    let thoughts = json!([
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"}, {"role": "assistant", "content": "four"},
    ]);
    let weighted = json!([
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two", "weight": 0},
        {"role": "user", "content": "three"}, {"role": "assistant", "content": "four"},
    ]);
    let first = json!([{"role": "assistant", "content": "hello"}, {"role": "user", "content": "hi"}]);
    let half = "{% for m in messages %}{% if loop.last %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}";
    let undated = ChatSpec { date: None, ..spec("llama3") };
    let mut out = String::new();
    let cases: [(&str, Result<Encoded>); 11] = [
        ("prefixes", encode(&spec("qwen3"), &thoughts)),
        ("assistant first", encode(&spec("chatml"), &first)),
        ("last", encode(&last("chatml"), &talk(&["one", "two", "three"]))),
        ("weights and all", encode(&ChatSpec { learn: Learn::All, ..spec("chatml") }, &weighted)),
        ("marks", encode(&of("half.jinja", half), &weighted)),
        ("raise", encode(&spec("gemma3"), &json!([{"role": "assistant", "content": "x"}]))),
        ("impossible", encode(&spec("chatml"), &json!([{"role": "assistant", "tool_calls": []}]))),
        ("syntax", encode(&of("broken.jinja", "{% for m in messages %}\n{{ m.content }\n"), &thoughts)),
        ("reserved", encode(&spec("marked"), &talk(&["a\u{fdd0}b", "c"]))),
        ("none", encode(&ChatSpec::default(), &thoughts)),
        (
            "unknown",
            encode(
                &ChatSpec { template: Some(TemplateRef::Name("tool_use".into())), ..ChatSpec::default() },
                &thoughts,
            ),
        ),
    ];
    for (name, made) in cases {
        let error = directory.strip(&said(made.expect_err(name)));
        out.push_str(&format!("{name}: {error}\n"));
    }
    let today = Date::today().to_string();
    out.push_str(&said(encode(&undated, &thoughts).unwrap_err()).replace(&today, "TODAY"));
    insta::assert_snapshot!(out);
}

#[test]
fn a_conversation_with_tools_takes_the_template_for_tools() {
    let directory = crate::testing::Directory::new();
    std::fs::copy(folder().join("tokenizer.json"), directory.path().join("tokenizer.json")).unwrap();
    let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": [
        {"name": "default", "template": "plain {{ messages[0].content }}{{ mood }}"},
        {"name": "tool_use", "template": "tools {{ tools | length }}"},
    ]});
    directory.write("tokenizer_config.json", config.to_string());
    let tokenization = Tokenization::open(directory.path()).unwrap();
    let variables = json!({"mood": "!"}).as_object().unwrap().clone();
    let spec = ChatSpec { learn: Learn::All, variables, ..ChatSpec::default() };
    let chat = Chat::new(&spec, &tokenization).unwrap();
    let text = |tools: Json| chat.encode(&conversation(&talk(&["hi"]), &tools).unwrap(), "row", false).unwrap().text;
    assert_eq!(text(Json::Null), "plain hi!");
    assert_eq!(text(json!([{}, {}])), "tools 2");
    let named = ChatSpec { template: Some(TemplateRef::Name("default".into())), ..spec };
    let chat = Chat::new(&named, &tokenization).unwrap();
    let made = chat.encode(&conversation(&talk(&["hi"]), &json!([{}])).unwrap(), "row", false);
    assert_eq!(made.unwrap().text, "plain hi!");
}

#[test]
fn a_plugin_is_given_the_tokens_and_what_the_assistant_said() {
    let turn = |role: &str, content: &str| Turn { role: role.to_owned(), content: content.to_owned() };
    let lent = LentTokenizer::new(std::sync::Arc::new(tokenizer()), Some(&spec("chatml")));
    let (encoding, said) = lent.apply_chat_template(&[turn("user", "one"), turn("assistant", "two")], true).unwrap();
    let made = encode(&spec("chatml"), &talk(&["one", "two"])).unwrap();
    assert!(encoding.ids.starts_with(&made.ids), "the prompt of the next turn follows");
    assert_eq!((encoding.ids.len(), encoding.offsets.len()), (said.len(), said.len()));
    let learnt: Vec<usize> = said.iter().enumerate().filter(|(_, said)| **said).map(|(at, _)| at).collect();
    let expected: Vec<usize> = made.learnt.iter().flat_map(|r| r.start as usize..r.end as usize).collect();
    assert_eq!(learnt, expected);
    assert!(lent.apply_chat_template(&[], false).is_err());

    let none = LentTokenizer::new(std::sync::Arc::new(tokenizer()), None);
    let refusal = none.apply_chat_template(&[turn("user", "one")], false).unwrap_err();
    assert_eq!(refusal.kind, retune_roles::ErrorKind::Unsupported);
    assert!(refusal.message.starts_with("the tokenizer chat has no chat template"), "{}", refusal.message);
}
