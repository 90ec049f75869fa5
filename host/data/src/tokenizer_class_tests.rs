use retune_roles::Tokenizer as _;
use serde_json::json;

use crate::testing::{Directory, bert_json, write_bpe};
use crate::{Result, Tokenization};

/// The ids of a text and of a pair, as `transformers` 5.24 gives them for the same files.
fn pair(tokenizer: &Tokenization) -> Vec<u32> {
    let cutting = tokenizer.cutting(None, true).unwrap();
    cutting.encode_fast(("My card Café [SEP] 中文", "two cards"), true).unwrap().get_ids().to_vec()
}

/// A BERT vocabulary with `café`, `cafe` and `Café` behind the words, in a file without post-processor.
fn file() -> serde_json::Value {
    let mut file = bert_json();
    file["post_processor"] = serde_json::Value::Null;
    for (index, word) in ["café", "cafe", "Café"].into_iter().enumerate() {
        file["model"]["vocab"][word] = json!(34 + index);
    }
    file
}

fn open(file: &serde_json::Value, config: &serde_json::Value) -> Result<Tokenization> {
    let directory = Directory::new();
    directory.write("tokenizer.json", file.to_string());
    directory.write("tokenizer_config.json", config.to_string());
    Tokenization::open(directory.path())
}

fn with(config: serde_json::Value) -> Vec<u32> {
    let mut all = json!({"tokenizer_class": "BertTokenizer"});
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    pair(&open(&file(), &all).unwrap())
}

#[test]
fn what_the_class_of_bert_adds_and_its_options_are_those_of_transformers() {
    assert_eq!(with(json!({})), [2, 4, 5, 35, 3, 1, 1, 3, 25, 5, 21, 3]);
    assert_eq!(with(json!({"do_lower_case": false})), [2, 1, 5, 36, 3, 1, 1, 3, 25, 5, 21, 3]);
    assert_eq!(with(json!({"strip_accents": false})), [2, 4, 5, 34, 3, 1, 1, 3, 25, 5, 21, 3]);
    let both = json!({"strip_accents": true, "do_lower_case": false});
    assert_eq!(with(both), [2, 1, 5, 1, 3, 1, 1, 3, 25, 5, 21, 3]);
    assert_eq!(with(json!({"tokenize_chinese_chars": false})), [2, 4, 5, 35, 3, 1, 3, 25, 5, 21, 3]);
    // Special tokens of the config are special in a text too.
    let tokens = json!({"cls_token": "a", "sep_token": "i"});
    assert_eq!(with(tokens), [12, 4, 1, 12, 1, 1, 12, 1, 3, 1, 1, 13, 25, 1, 12, 1, 13]);
}

#[test]
fn a_word_level_file_becomes_a_word_piece_where_the_class_is_that_of_bert_and_stays_as_it_is_elsewhere() {
    let mut words = file();
    words["normalizer"] = serde_json::Value::Null;
    words["pre_tokenizer"] = json!({"type": "WhitespaceSplit"});
    words["decoder"] = serde_json::Value::Null;
    words["model"] = json!({"type": "WordLevel", "unk_token": "[UNK]", "vocab": words["model"]["vocab"]});
    let bert = [2, 4, 5, 35, 3, 1, 1, 3, 25, 5, 21, 3];
    assert_eq!(pair(&open(&words, &json!({"tokenizer_class": "BertTokenizerFast"})).unwrap()), bert);
    let directory = Directory::new();
    directory.write("tokenizer.json", words.to_string());
    directory.write("config.json", r#"{"model_type": "bert"}"#);
    assert_eq!(pair(&Tokenization::open(directory.path()).unwrap()), bert, "the class follows from the kind of model");
    let fast = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    assert_eq!(pair(&open(&words, &fast).unwrap()), [1, 5, 36, 3, 1, 25, 1]);
}

#[test]
fn a_class_that_needs_a_token_the_vocabulary_lacks_is_refused() {
    let said = |config| {
        let error = open(&file(), &config).unwrap_err();
        format!("{error}\n  {}", error.help().unwrap())
    };
    insta::assert_snapshot!(said(json!({"tokenizer_class": "BertTokenizer", "cls_token": "<s>"})), @r#"
    the tokenizer's class BertTokenizer needs its cls_token, and `<s>` is not in the vocabulary
      set cls_token in tokenizer_config.json; tokenizer_class = "PreTrainedTokenizerFast" there takes tokenizer.json as it is
    "#);
    insta::assert_snapshot!(said(json!({"tokenizer_class": "XLNetTokenizer"})), @"
    tokenizer.json has no post-processor, and XLNetTokenizer adds special tokens of its own to every text
      save it anew from transformers, which writes tokenizer.json whole: AutoTokenizer.from_pretrained(dir).save_pretrained(dir)
    ");
}

#[test]
fn an_option_that_cannot_be_honoured_is_refused_by_name_and_one_that_transformers_ignores_is_told() {
    let mut own = file();
    own["post_processor"] = bert_json()["post_processor"].clone();
    let mpnet = json!({"tokenizer_class": "MPNetTokenizer", "strip_accents": false});
    assert_eq!(pair(&open(&own, &mpnet).unwrap())[3], 34, "a BertNormalizer follows the option under any class");
    own["normalizer"] = json!({"type": "Lowercase"});
    assert!(open(&own, &mpnet).is_ok(), "the file does so already");
    let stripping = json!({"tokenizer_class": "MPNetTokenizer", "strip_accents": true});
    insta::assert_snapshot!(open(&own, &stripping).unwrap_err(), @"tokenizer_config.json has `strip_accents` = true, and the normalizer of tokenizer.json does otherwise");
    let fast = json!({"tokenizer_class": "PreTrainedTokenizerFast", "strip_accents": true, "do_lower_case": true});
    insta::assert_snapshot!(open(&own, &fast).unwrap().warnings().join("\n"), @"tokenizer_config.json has strip_accents = true, which changes nothing: PreTrainedTokenizer takes tokenizer.json as it is");
}

#[test]
fn a_cased_file_is_lower_cased_by_berts_class_and_that_is_said() {
    let mut cased = file();
    cased["normalizer"]["lowercase"] = json!(false);
    let tokenizer = open(&cased, &json!({"tokenizer_class": "BertTokenizer"})).unwrap();
    assert_eq!(pair(&tokenizer)[1], 4);
    insta::assert_snapshot!(tokenizer.warnings().join("\n"), @"texts are lower-cased, as BertTokenizer does unless tokenizer_config.json says do_lower_case = false, though tokenizer.json keeps capitals");
    let config = json!({"tokenizer_class": "BertTokenizer", "do_lower_case": false});
    assert!(open(&cased, &config).unwrap().warnings().is_empty());
}

#[test]
fn a_byte_level_tokenizer_follows_the_options_its_class_reads() {
    let first = |config: serde_json::Value| {
        let directory = Directory::new();
        write_bpe(&directory);
        directory.write("tokenizer_config.json", config.to_string());
        let tokenizer = Tokenization::open(directory.path()).unwrap();
        let ids = tokenizer.encode(&["two</s>".to_owned()], false).unwrap().remove(0).ids;
        let tokens: Vec<String> = ids.iter().filter_map(|id| tokenizer.token_text(*id)).collect();
        (tokens.join(" "), tokenizer.warnings().join("\n"))
    };
    let plain = first(json!({"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>", "eos_token": "</s>"}));
    let spaced = first(json!({"tokenizer_class": "GPT2Tokenizer", "eos_token": "</s>", "add_prefix_space": true}));
    assert!(!plain.0.contains('Ġ') && spaced.0.starts_with('Ġ'), "{plain:?} {spaced:?}");
    let split = first(json!({"tokenizer_class": "PreTrainedTokenizerFast", "split_special_tokens": true}));
    assert!(plain.0.ends_with(" </s>") && split.0.ends_with("< / s >"), "{plain:?} {split:?}");
    let ignored =
        first(json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "add_eos_token": true}));
    insta::assert_snapshot!(ignored.1, @"tokenizer_config.json has add_eos_token = true, which changes nothing: PreTrainedTokenizer takes tokenizer.json as it is");
}
