use serde_json::json;

use super::*;
use crate::record::fields_of_json;

fn read(row: &Json) -> crate::Result<Conversation> {
    let record = Record::new("t.jsonl", 3, fields_of_json(&row.to_string(), String::new).unwrap());
    Conversation::read(&record, "chat", None, "weight")
}

fn fields(row: &Json) -> Vec<Json> {
    read(row).unwrap().messages.into_iter().map(|message| message.fields).collect()
}

#[test]
fn the_spellings_of_sharegpt_become_those_of_templates() {
    let theirs = json!({"chat": [
        {"from": "system", "value": "s"}, {"from": "human", "value": "h"}, {"from": "gpt", "value": "g", "weight": 0},
        {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"}, {"from": "observation", "value": "o"},
    ]});
    let ours = json!([
        {"role": "system", "content": "s"}, {"role": "user", "content": "h"}, {"role": "assistant", "content": "g"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "o"},
    ]);
    assert_eq!(json!(fields(&theirs)), ours);
    let weights: Vec<bool> = read(&theirs).unwrap().messages.iter().map(|message| message.weight).collect();
    assert_eq!(weights, [true, true, false, true, true]);
}

#[test]
fn what_is_null_is_left_out_and_reasoning_is_known_under_its_names() {
    let row = json!({"chat": [{"role": "assistant", "content": null, "tool_calls": [{"x": null}], "reasoning": "r", "name": null}]});
    let expected = json!({
        "role": "assistant", "tool_calls": [{"x": null}], "reasoning": "r", "thinking": "r", "reasoning_content": "r",
    });
    assert_eq!(fields(&row)[0], expected);
}

#[test]
fn a_conversation_in_a_text_is_read_as_json() {
    let inside = json!([{"role": "user", "content": "x"}]).to_string();
    assert_eq!(fields(&json!({"chat": inside})), [json!({"role": "user", "content": "x"})]);
}

#[test]
fn whatever_is_no_conversation_is_refused_by_row_and_message() {
    let rows = [
        json!({"chat": "hello"}),
        json!({"chat": 3}),
        json!({"chat": null}),
        json!({"chat": {"role": "user", "content": "x"}}),
        json!({"chat": ["hello"]}),
        json!({"chat": [{"role": "user", "content": "x"}, {"speaker": "user", "text": "x"}]}),
        json!({"chat": [{"role": "user"}]}),
        json!({"chat": [{}]}),
        json!({"chat": [{"role": "asistant", "content": "x"}]}),
        json!({"chat": [{"from": "Zeus", "value": "x"}]}),
        json!({"chat": [{"role": "user", "content": 3}]}),
        json!({"chat": [{"role": "assistant", "content": "x", "weight": 0.5}]}),
        json!({"talk": []}),
    ];
    let mut out = String::new();
    for row in rows {
        let error = read(&row).unwrap_err();
        out.push_str(&format!("{error}\n    {}\n", error.help().unwrap_or_default()));
    }
    let record = Record::new("t.jsonl", 3, fields_of_json(r#"{"chat": [], "tools": "all"}"#, String::new).unwrap());
    let error = Conversation::read(&record, "chat", Some("tools"), "weight").unwrap_err();
    out.push_str(&format!("{error}\n    {}\n", error.help().unwrap_or_default()));
    insta::assert_snapshot!(out);
}
