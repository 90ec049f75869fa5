use std::path::Path;

use super::*;

/// One of every kind; the match below does not compile when one is missing from it.
fn every() -> Vec<ChatError> {
    let place = || "chats.jsonl:3".to_owned();
    let all = vec![
        ChatError::NoTemplate { tokenizer: "SmolLM2-135M".to_owned() },
        ChatError::TemplateUnknown {
            tokenizer: "Hermes-3".to_owned(),
            name: "tool-use".to_owned(),
            nearest: Some("tool_use".to_owned()),
            available: vec!["default".to_owned(), "tool_use".to_owned()],
        },
        ChatError::TemplateUnknown {
            tokenizer: "gpt2".to_owned(),
            name: "chatml".to_owned(),
            nearest: None,
            available: Vec::new(),
        },
        ChatError::TemplateBroken {
            template: origin(Some(&Path::new("my.jinja").to_owned()), "SmolLM2"),
            line: 4,
            reason: "unexpected end of input".to_owned(),
        },
        ChatError::TemplateRefuses { place: place(), message: "roles must alternate".to_owned() },
        ChatError::TemplateFails { place: place(), line: 2, reason: "undefined value".to_owned() },
        ChatError::Undated { today: "2026-11-26".to_owned() },
        ChatError::Reserved { place: place(), character: '\u{fdd0}' },
        ChatError::NotNested { place: place(), message: 2, role: "assistant".to_owned(), when: FOLLOWED },
        ChatError::NotNested { place: place(), message: 2, role: "assistant".to_owned(), when: TO_COME },
        ChatError::MarksDiffer { place: place(), marks: 1, turns: 2 },
        ChatError::MarksDiffer { place: place(), marks: 2, turns: 1 },
        ChatError::LastNotAssistant { place: place(), role: "user".to_owned() },
        ChatError::WeightKind { place: place(), message: 2, field: "weight".to_owned(), value: "0.5".to_owned() },
        ChatError::WeightWithAll { place: place(), message: 2 },
        ChatError::NotMessages { place: place(), column: "messages".to_owned(), found: "a number".to_owned() },
        ChatError::MessageShape { place: place(), message: 1, keys: Vec::new() },
        ChatError::MessageShape { place: place(), message: 1, keys: vec!["speaker".to_owned(), "text".to_owned()] },
        ChatError::RoleUnknown {
            place: place(),
            message: 1,
            role: "asistant".to_owned(),
            nearest: Some("assistant".to_owned()),
        },
        ChatError::RoleUnknown { place: place(), message: 1, role: "7".to_owned(), nearest: None },
        ChatError::ContentKind { place: place(), message: 1, found: "a number" },
        ChatError::ContentNotTaken {
            place: place(),
            message: 1,
            found: "a list of parts",
            reason: "line 2: tried to use + operator on unsupported types string and sequence".to_owned(),
        },
        ChatError::ContentNotTaken {
            place: place(),
            message: 2,
            found: "missing, or null",
            reason: "line 2: undefined value".to_owned(),
        },
        ChatError::NotTools { place: place(), column: "tools".to_owned(), found: "text".to_owned() },
    ];
    let kind = |error: &ChatError| match error {
        ChatError::NoTemplate { .. } => 0,
        ChatError::TemplateUnknown { .. } => 1,
        ChatError::TemplateBroken { .. } => 2,
        ChatError::TemplateRefuses { .. } => 3,
        ChatError::TemplateFails { .. } => 4,
        ChatError::Undated { .. } => 5,
        ChatError::Reserved { .. } => 6,
        ChatError::NotNested { .. } => 7,
        ChatError::MarksDiffer { .. } => 8,
        ChatError::LastNotAssistant { .. } => 9,
        ChatError::WeightKind { .. } => 10,
        ChatError::WeightWithAll { .. } => 11,
        ChatError::NotMessages { .. } => 12,
        ChatError::MessageShape { .. } => 13,
        ChatError::RoleUnknown { .. } => 14,
        ChatError::ContentKind { .. } => 15,
        ChatError::NotTools { .. } => 16,
        ChatError::ContentNotTaken { .. } => 17,
    };
    let kinds: std::collections::BTreeSet<usize> = all.iter().map(kind).collect();
    assert!(kinds.into_iter().eq(0..18), "one of every kind");
    all
}

#[test]
fn every_error_of_a_conversation_says_what_is_wrong_and_what_to_do() {
    let said: Vec<String> = every()
        .iter()
        .map(|error| {
            let help = error.help();
            assert!(help.is_some(), "{error} has a way out");
            format!("{error}\n    {}", help.unwrap_or_default())
        })
        .collect();
    insta::assert_snapshot!(said.join("\n\n"));
}
