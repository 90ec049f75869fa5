use proptest::prelude::*;
use retune_roles::Tokenizer as _;
use serde_json::json;

use super::*;
use crate::Tokenization;
use crate::testing::{Directory, bert_json, write_bpe};

/// A byte-level BPE tokenizer as JSON; its class takes the file as it is.
fn plain() -> Value {
    let directory = Directory::new();
    write_bpe(&directory);
    serde_json::from_slice(&std::fs::read(directory.path().join("tokenizer.json")).unwrap()).unwrap()
}

/// What opening it says, and then the encoding of a text.
fn tried(tokenizer: &Value, text: &str) -> std::result::Result<usize, String> {
    let directory = Directory::new();
    directory.write("tokenizer.json", tokenizer.to_string());
    let opened = Tokenization::open(directory.path()).map_err(|e| directory.strip(&e.to_string()))?;
    let encoded = opened.encode(&[text.to_owned()], true).map_err(|e| e.to_string())?;
    let _ = opened.decode(&[encoded[0].ids.clone()], false);
    let _ = opened.pieces(&encoded[0].ids);
    Ok(encoded[0].ids.len())
}

fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut json = plain();
    change(&mut json);
    tried(&json, "two").unwrap_err()
}

fn sequence(kind: &str, parts: &str, part: Value, times: usize) -> Value {
    json!({"type": kind, parts: vec![part; times]})
}

#[test]
fn rules_that_make_gigabytes_of_a_letter_are_refused_before_one_is_written() {
    let double = |pattern: Value| json!({"type": "Replace", "pattern": pattern, "content": "aa"});
    let text = "tokenizer.json is not a usable tokenizer file: ";
    assert_eq!(
        refused(|json| json["normalizer"] = sequence("Sequence", "normalizers", double(json!({"String": "a"})), 40)),
        format!("{text}`normalizer` may make 1099511627776 bytes of one, expected at most 4096")
    );
    let nested = sequence("Sequence", "normalizers", double(json!({"Regex": "."})), 4);
    for normalizer in [
        sequence("Sequence", "normalizers", nested, 4),
        sequence("Sequence", "normalizers", double(json!({"String": ""})), 20),
        json!({"type": "Prepend", "prepend": "a".repeat(5000)}),
        sequence("Sequence", "normalizers", json!({"type": "ByteLevel"}), 30),
        // The older spelling, without a type.
        json!({"normalizers": vec![json!({"prepend": "aaaaaaaa"}); 5]}),
    ] {
        let told = refused(|json| json["normalizer"] = normalizer);
        assert!(told.starts_with(&format!("{text}`normalizer` may make ")), "{told}");
    }
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let told = refused(|json| json["pre_tokenizer"] = sequence("Sequence", "pretokenizers", level, 30));
    assert!(told.contains("`pre_tokenizer` may make 1073741824 bytes of one"), "{told}");
    let told = refused(|json| json["decoder"] = sequence("Sequence", "decoders", double(json!({"String": "a"})), 40));
    assert!(told.contains("`decoder` may make "), "{told}");
    let told = refused(|json| {
        json["normalizer"] = sequence("Sequence", "normalizers", double(json!({"String": "a"})), 11);
        json["added_tokens"][0]["content"] = "a".repeat(1 << 20).into();
    });
    assert!(told.contains("`added_tokens` have 1048"), "{told}");
    let twice = json!({"type": "TemplateProcessing", "pair": [], "special_tokens": {},
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]});
    let told = refused(|json| json["post_processor"] = sequence("Sequence", "processors", twice, 40));
    assert_eq!(told, format!("{text}`post_processor` writes text A more than once"));
    let told = refused(|json| {
        let many = vec![json!({"SpecialToken": {"id": "<s>", "type_id": 0}}); 2000];
        json["post_processor"]["single"] = many.into();
    });
    assert_eq!(told, format!("{text}`post_processor` puts 2000 special tokens around a text, expected at most 1024"));
    let told = refused(|json| json["model"]["continuing_subword_prefix"] = "#".repeat(20_000).into());
    assert_eq!(told, format!("{text}`model.continuing_subword_prefix` is 20000 long, expected at most 10000"));
    let mut bert = bert_json();
    bert["model"]["max_input_chars_per_word"] = json!(1_000_000_000_000_000_000u64);
    let told = tried(&bert, "two").unwrap_err();
    assert_eq!(
        told,
        format!("{text}`model.max_input_chars_per_word` is 1000000000000000000 long, expected at most 10000")
    );
}

#[test]
fn a_panic_of_the_library_is_an_error_that_names_the_file() {
    let gave_up = "tokenizer.json is not a usable tokenizer file: the library that reads it gave up: ";
    // Chunks of no length.
    let told = refused(|json| json["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0}));
    assert!(told.starts_with(gave_up), "{told}");
    // A merge whose second half is shorter than the prefix that is taken off it.
    let told = refused(|json| {
        json["model"]["continuing_subword_prefix"] = "####".into();
        json["model"]["merges"] = json!([["t", "w"]]);
    });
    assert!(told.starts_with("tokenizer.json is not a usable tokenizer file: "), "{told}");
    // No table of replacements: its length is more than its bytes.
    let told = refused(|json| json["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}));
    assert!(told.starts_with("tokenizer.json is not a usable tokenizer file: "), "{told}");
}

#[test]
fn a_pattern_that_never_ends_on_a_text_is_an_error_of_the_row() {
    let mut json = plain();
    let pattern = json!({"Regex": "(x+x+)+y"});
    json["pre_tokenizer"] = json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
    let told = tried(&json, &"x".repeat(64));
    assert!(told.is_err_and(|told| told.contains("the text cannot be tokenised: the library that reads it gave up: ")));
    assert!(tried(&json, "two").is_ok());
}

#[test]
fn ids_lengths_and_nesting_without_bounds_are_errors_or_change_nothing() {
    let mut json = plain();
    json["truncation"] = json!({"direction": "Right", "max_length": 1_000_000_000_000_000_000u64, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = json!({"strategy": {"Fixed": 1_000_000_000_000_000_000u64}, "direction": "Right",
        "pad_to_multiple_of": 1_000_000_000u64, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"});
    assert_eq!(tried(&json, "two"), tried(&plain(), "two"), "how somebody padded is not taken over");
    // The last id that there is: the next one does not exist.
    let mut last = plain();
    last["model"]["vocab"]["last"] = json!(u32::MAX);
    last["added_tokens"][0]["content"] = "new".into();
    last["added_tokens"][0]["id"] = json!(u32::MAX);
    let _ = tried(&last, "two");
    let mut above = plain();
    above["model"]["vocab"]["above"] = json!(1u64 << 40);
    assert!(tried(&above, "two").is_err());
    let mut deep = json!({"type": "Lowercase"});
    for _ in 0..60 {
        deep = json!({"type": "Sequence", "normalizers": [deep]});
    }
    let text = format!(
        r#"{{"normalizer":{}{}}}"#,
        r#"{"type":"Sequence","normalizers":["#.repeat(100_000),
        "]}".repeat(100_000)
    );
    let directory = Directory::new();
    directory.write("tokenizer.json", text);
    let told = directory.strip(&Tokenization::open(directory.path()).unwrap_err().to_string());
    assert!(told.contains("recursion limit exceeded"), "{told}");
}

#[test]
fn files_that_are_too_large_or_no_files_are_not_read() {
    let many = format!(r#"{{"normalizer":[{}0]}}"#, "[],".repeat(MOST_VALUES / 2 + 1));
    let told = check(many.as_bytes()).unwrap();
    assert!(told.starts_with("it has 8388") && told.ends_with(" values, expected at most 8388608"), "{told}");
    assert_eq!(values(br#"{"a\",[{": [1, 2]}"#), 3);
    let directory = Directory::new();
    let path = directory.write("x.json", "12345");
    assert_eq!(read(&path, 4).unwrap_err().to_string(), "it has 5 bytes, expected at most 4");
    if cfg!(unix) {
        let path = directory.path().join("tokenizer.json");
        std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        let told = directory.strip(&Tokenization::open(directory.path()).unwrap_err().to_string());
        assert!(told.contains("it is a pipe, a socket or a device"), "{told}");
    }
}

#[test]
fn the_tables_of_sentencepiece_are_measured_by_their_longest_text() {
    // printf '\4\0\0\0tree\0a\0three\0' | base64
    assert_eq!(longest_replacement("BAAAAHRyZWUAYQB0aHJlZQA="), 5);
    assert_eq!(longest_replacement("/////w=="), 0);
    assert_eq!(growth(&json!({"precompiled_charsmap": "BAAAAHRyZWUAYQB0aHJlZQA="})), 5.0);
    let known = json!({"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "``"}, "content": "\""}, {"type": "NFKD"}, {"type": "StripAccents"},
        {"type": "Lowercase"}, {"type": "Precompiled", "precompiled_charsmap": "BAAAAHRyZWUAYQB0aHJlZQA="},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    ]});
    assert_eq!(growth(&known), 11.0 * 5.0 * 2.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_with_any_value_anywhere_is_an_error_or_a_tokenizer(
        bert: bool,
        place in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![json!(null), json!(0), json!(-1), json!(1e300), json!(u64::MAX), json!(u32::MAX), json!(""),
            json!("a"), json!([]), json!({}), json!([["a", "b"]]), json!(["a b", "a  b"]), json!({"Fixed": u64::MAX}),
            json!({"Regex": "("}), json!({"Regex": "(a*)*$"}), json!({"String": ""}), json!({"type": "FixedLength", "length": 0}),
            json!({"type": "ByteFallback"}), json!({"type": "Strip", "content": "a", "start": u64::MAX, "stop": u64::MAX}),
            json!({"type": "Unigram", "vocab": [["", 0.0], ["a", -1.0]], "unk_id": 7})]),
    ) {
        let mut json = if bert { bert_json() } else { plain() };
        let mut places = Vec::new();
        collect(&json, String::new(), &mut places);
        let place: &String = place.get(&places);
        *json.pointer_mut(place).unwrap() = value;
        if let Err(told) = tried(&json, "two and aaaa ü") {
            prop_assert!(told.len() < 1000, "{told}");
        }
    }
}

/// Pointers to all values outside of the vocabulary, and to one in it.
fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    places.push(at.clone());
    let few = if at.ends_with("/vocab") || at.ends_with("/merges") { 1 } else { usize::MAX };
    match value {
        Value::Object(map) => {
            let each = map.iter().take(few);
            each.for_each(|(key, value)| {
                collect(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), places)
            });
        }
        Value::Array(list) => {
            list.iter()
                .take(few)
                .enumerate()
                .for_each(|(index, value)| collect(value, format!("{at}/{index}"), places));
        }
        _ => {}
    }
}
