use std::path::Path;

use retune_roles::Rows as _;
use serde_json::json;

use super::*;
use crate::testing::Directory;
use crate::{CacheUse, Prepared, TemplateRef, Tokenization, prepare};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/chat")
}

fn spec(directory: &Directory, rows: &[serde_json::Value]) -> DataSpec {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let mut spec = DataSpec::new(directory.write("train.jsonl", lines), TaskKind::CausalLm);
    spec.columns.messages = Some("messages".to_owned());
    let template = TemplateRef::File(folder().join("chatml.jinja"));
    spec.chat = Some(ChatSpec { template: Some(template), ..ChatSpec::default() });
    spec
}

fn prepared(spec: &DataSpec) -> Result<Prepared> {
    prepare(spec, &[], &Tokenization::open(&folder()).unwrap(), &mut |_| {})
}

fn talk(user: &str, assistant: &str) -> serde_json::Value {
    json!({"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]})
}

#[test]
fn rows_are_conversations_cut_where_they_are_too_long() {
    let directory = Directory::new();
    let long = "two and two ".repeat(30);
    let rows = [talk("one", "two"), talk("one", &long), talk(&long, "four"), json!({"messages": []})];
    let mut spec = spec(&directory, &rows);
    spec.max_length = 60;
    let made = prepared(&spec).unwrap();
    let example = made.train.get(0);
    let sequence = &example.sequences[0];
    let [learnt] = sequence.learnt.as_slice() else { panic!("one turn: {sequence:?}") };
    assert!(learnt.start > 20 && (learnt.end as usize) < sequence.ids.len(), "neither before nor behind: {learnt:?}");
    assert_eq!((made.train.len(), made.train.length(1)), (2, 60));
    insta::assert_snapshot!(made.report.warnings.join("\n"));
}

#[test]
fn odd_masks_are_warned_of() {
    let directory = Directory::new();
    let rows = [talk("one", "two"), talk("three", "four")];
    let with = |text: &str| {
        let mut spec = spec(&directory, &rows);
        let template = TemplateRef::File(directory.write("own.jinja", text));
        spec.chat = Some(ChatSpec { template: Some(template), ..ChatSpec::default() });
        prepared(&spec).map(|made| made.report.warnings.join("\n")).unwrap_or_else(|e| e.to_string())
    };
    let all = with("{% generation %}{% for m in messages %}{{ m.content }}{% endfor %}</s>{% endgeneration %}");
    let bare = with(
        "{% for m in messages %}{{ m.role }} {% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}",
    );
    let doubled = with(
        "<s><s>{% for m in messages %}{{ m.role }} {% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}{% endif %}{% endfor %}",
    );
    let nothing = with(
        "{% for m in messages %}{% if m.role == 'system' %}{% generation %}{% endgeneration %}{% endif %}{{ m.content }}{% endfor %}",
    );
    let spaced = with(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    );
    let mut control = spec(&directory, &[talk("one</s>", "two"), talk("three", "four")]);
    control.max_length = 200;
    let control = prepared(&control).unwrap().report.warnings.join("\n");
    insta::assert_snapshot!([all, bare, doubled, nothing, spaced, control].join("\n\n"));
}

#[test]
fn kept_rows_are_those_of_the_same_template_and_the_same_mask() {
    let directory = Directory::new();
    let mut spec = spec(&directory, &[talk("one", "two")]);
    let file = directory.write("own.jinja", std::fs::read(folder().join("chatml.jinja")).unwrap());
    spec.chat = Some(ChatSpec { template: Some(TemplateRef::File(file)), ..ChatSpec::default() });
    spec.cache_dir = Some(directory.path().join("cache"));
    let found = |spec: &DataSpec| matches!(prepared(spec).unwrap().report.sources[0].cache, CacheUse::Hit { .. });
    assert!(!found(&spec));
    assert!(found(&spec));
    let mut other = spec.clone();
    other.chat.as_mut().unwrap().learn = Learn::Last;
    assert!(!found(&other));
    let text = std::fs::read_to_string(folder().join("phi4.jinja")).unwrap();
    directory.write("own.jinja", text);
    assert!(!found(&spec), "the file's text counts, not its name");
}

#[test]
fn prompt_and_completion_go_through_the_template_only_when_asked() {
    let directory = Directory::new();
    let mut plain = spec(&directory, &[json!({"q": "one", "a": "two"})]);
    (plain.columns.messages, plain.chat) = (None, None);
    (plain.columns.prompt, plain.columns.completion) = (Some("q".to_owned()), Some("a".to_owned()));
    let mut wrapped = plain.clone();
    let template = Some(TemplateRef::File(folder().join("chatml.jinja")));
    wrapped.chat = Some(ChatSpec { wrap: true, template, ..ChatSpec::default() });
    let same = spec(&directory, &[talk("one", "two")]);
    let asked = prepared(&same).unwrap().train.get(0).sequences.clone();
    directory.write("train.jsonl", json!({"q": "one", "a": "two"}).to_string());
    assert_eq!(prepared(&wrapped).unwrap().train.get(0).sequences, asked);
    assert!(prepared(&plain).unwrap().train.get(0).tokens() < asked[0].len());
}

#[test]
fn what_can_never_work_is_refused_before_a_row_is_read() {
    let directory = Directory::new();
    let sound = spec(&directory, &[talk("one", "two")]);
    let refused = |change: &dyn Fn(&mut DataSpec)| {
        let mut spec = sound.clone();
        change(&mut spec);
        prepared(&spec).unwrap_err().to_string()
    };
    let chat = |change: &dyn Fn(&mut ChatSpec)| refused(&|spec| change(spec.chat.as_mut().unwrap()));
    let said = [
        refused(&|spec| spec.chat = None),
        refused(&|spec| (spec.columns.messages, spec.chat, spec.columns.tools) = (None, None, Some("t".to_owned()))),
        refused(&|spec| spec.layout = Layout::Blocks),
        refused(&|spec| spec.columns.completion = Some("a".to_owned())),
        refused(&|spec| spec.columns.messages = None),
        chat(&|chat| chat.wrap = true),
        chat(&|chat| chat.date = Some("today".to_owned())),
        chat(&|chat| _ = chat.variables.insert("tools".to_owned(), json!(1))),
    ];
    insta::assert_snapshot!(said.join("\n"));
    let mut text = sound.clone();
    (text.columns.messages, text.chat) = (None, None);
    let help = prepared(&text).unwrap_err().help();
    assert_eq!(help.as_deref(), Some("for conversations, write columns = { messages = \"messages\" }"));
}

#[test]
fn a_turn_of_the_assistant_that_is_learnt_and_says_nothing_is_warned_about() {
    let directory = Directory::new();
    let unlearnt =
        json!({"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": " ", "weight": 0}]});
    let mut spec = spec(&directory, &[talk("one", "two"), talk("one", " \n"), unlearnt]);
    let report = prepared(&spec).unwrap().report;
    let told = report.warnings.iter().filter(|told| told.contains("says nothing")).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            "in 1 row of train a turn of the assistant that is learnt says nothing: the model learns to answer so; take the turn \
          out, or give it weight = 0"
        ]
    );
    assert_eq!(report.splits[0].silent, 1);
    // Of what is not learnt nothing is said.
    let last = json!({"messages": [{"role": "assistant", "content": ""}, {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"}]});
    directory.write("train.jsonl", format!("{last}\n"));
    spec.chat.as_mut().unwrap().learn = Learn::Last;
    assert_eq!(prepared(&spec).unwrap().report.splits[0].silent, 0);
}

#[test]
fn a_content_of_parts_is_written_where_the_template_takes_it_and_refused_by_message_where_it_does_not() {
    let directory = Directory::new();
    let parts = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
    let row = json!({"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "four"}]});
    let mut spec = spec(&directory, &[row]);
    let told = |spec: &DataSpec| {
        let error = prepared(spec).unwrap_err();
        (error.to_string(), error.help().unwrap())
    };
    let (error, help) = told(&spec);
    assert!(error.starts_with(
        "train.jsonl:1, message 1: its content is a list of parts, which the chat template cannot write ("
    ));
    assert!(help.starts_with("join the texts of the parts to one string: \"content\": \"…\""), "{help}");
    let mut with = |template: &str| {
        let template = directory.write("own.jinja", template);
        spec.chat.as_mut().unwrap().template = Some(TemplateRef::File(template));
        spec.clone()
    };
    let printed = "{% for m in messages %}<{{ m.content }}>{% endfor %}";
    let report = prepared(&with(printed)).unwrap().report;
    assert_eq!(report.splits[0].listed, 1, "as transformers does");
    assert!(report.warnings.iter().any(|told| told.contains("writes it as a list, brackets and all")), "{report:?}");
    let taken = "{% for m in messages %}<{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }} \
                 {% endfor %}{% endif %}>{% endfor %}";
    assert_eq!(prepared(&with(taken)).unwrap().train.len(), 1);
}
