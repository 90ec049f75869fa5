use retune_roles::Tokenizer as _;

use super::*;
use crate::testing::{Directory, bert, bert_json, bpe, write_bpe};

fn open(files: &[(&str, &str)]) -> Tokenization {
    let directory = Directory::new();
    write_bpe(&directory);
    std::fs::remove_file(directory.path().join("special_tokens_map.json")).unwrap();
    for (name, content) in files {
        directory.write(name, content);
    }
    Tokenization::open(directory.path()).unwrap()
}

#[test]
fn padding_and_truncation_left_in_the_file_are_ignored() {
    let texts = ["my card".to_owned(), "one two three four five six seven eight nine ten".to_owned()];
    let encodings = bert().encode(&texts, true).unwrap();
    assert_eq!(encodings.iter().map(|e| e.ids.len()).collect::<Vec<_>>(), [4, 12]);
    let cutting = bert().cutting(Some(6), false).unwrap();
    assert_eq!(cutting.encode_fast("my card", true).unwrap().get_ids().len(), 4, "cutting pads nothing either");
}

#[test]
fn encodings_carry_byte_offsets_and_mark_what_the_tokenizer_added() {
    let encoding = &bert().encode(&["My  Ⓒ card".to_owned()], true).unwrap()[0];
    assert_eq!(encoding.ids[0], 2);
    assert_eq!(encoding.special, [true, false, false, false, true]);
    assert_eq!(encoding.offsets[1..4], [(0, 2), (4, 7), (8, 12)]);
    let bare = &bert().encode(&["My card".to_owned()], false).unwrap()[0];
    assert_eq!(bare.special, [false, false]);
}

#[test]
fn what_is_encoded_decodes_again_and_an_unknown_id_is_refused() {
    let tokenizer = bpe();
    let text = "two and two? Ⓒ\n".to_owned();
    let ids = tokenizer.encode(std::slice::from_ref(&text), true).unwrap()[0].ids.clone();
    assert_eq!(ids[0], tokenizer.bos().unwrap());
    assert_eq!(tokenizer.decode(std::slice::from_ref(&ids), true).unwrap(), std::slice::from_ref(&text));
    assert_eq!(tokenizer.decode(&[ids], false).unwrap(), [format!("<s>{text}")]);
    let refusal = tokenizer.decode(&[vec![1_000_000]], true).unwrap_err();
    assert_eq!(refusal.kind, ErrorKind::Input);
    assert!(refusal.message.starts_with("token id 1000000 is not in the vocabulary"), "{refusal}");
}

#[test]
fn special_tokens_come_from_where_transformers_takes_them() {
    let config = r#"{"eos_token": "<pad>", "bos_token": {"content": "<s>"}}"#;
    let map = r#"{"eos_token": "</s>"}"#;
    let id = |tokenizer: &Tokenization, token: &str| tokenizer.token_id(token);

    let both = open(&[("tokenizer_config.json", config), ("special_tokens_map.json", map)]);
    assert_eq!(both.eos(), id(&both, "</s>"), "the map goes before the config");
    assert_eq!(both.bos(), id(&both, "<s>"));
    assert_eq!(both.pad(), None);

    let new = r#"{"eos_token": "<pad>", "added_tokens_decoder": {}}"#;
    let newer = open(&[("tokenizer_config.json", new), ("special_tokens_map.json", map)]);
    assert_eq!(newer.eos(), id(&newer, "<pad>"), "a config with added_tokens_decoder stands alone");

    let class = open(&[("config.json", r#"{"model_type": "llama"}"#)]);
    assert_eq!((class.bos(), class.eos(), class.pad()), (id(&class, "<s>"), id(&class, "</s>"), None));

    let null = open(&[("tokenizer_config.json", r#"{"tokenizer_class": "LlamaTokenizerFast", "bos_token": null}"#)]);
    assert_eq!((null.bos(), null.eos()), (None, id(&null, "</s>")), "null means none, whatever the class has");

    let absent = open(&[("tokenizer_config.json", r#"{"pad_token": "[PAD]"}"#)]);
    assert_eq!(absent.pad(), None);
    insta::assert_snapshot!(absent.warnings().join("\n"), @"the tokenizer's pad_token is `[PAD]`, which is not in its vocabulary; it is left out");
}

#[test]
fn lower_casing_of_the_config_goes_before_that_of_the_tokenizer() {
    let directory = Directory::new();
    directory.write("tokenizer.json", bert_json().to_string());
    directory.write("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer", "do_lower_case": false}"#);
    let tokenizer = Tokenization::open(directory.path()).unwrap();
    let unknown = tokenizer.token_id("[UNK]").unwrap();
    assert_eq!(tokenizer.encode(&["My card".to_owned()], false).unwrap()[0].ids[0], unknown);
}

#[test]
fn the_digest_changes_with_every_file_that_matters() {
    let plain = open(&[]);
    let again = open(&[]);
    let other = open(&[("special_tokens_map.json", "{}")]);
    assert_eq!(plain.digest(), again.digest());
    assert_ne!(plain.digest(), other.digest());
    assert_eq!(plain.digest().len(), 64);
}

#[test]
fn the_length_limit_of_the_config_is_told_unless_it_is_the_number_for_none() {
    let length = |json: &str| open(&[("tokenizer_config.json", json)]).model_max_length();
    assert_eq!(length(r#"{"model_max_length": 512}"#), Some(512));
    assert_eq!(length(r#"{"model_max_length": 1000000000000000019884624838656}"#), None);
    assert_eq!(length("{}"), None);
}

#[test]
fn a_tokenizer_that_makes_ids_beyond_the_embeddings_does_not_fit() {
    let tokenizer = bert();
    let size = tokenizer.vocab_size() as usize;
    assert!(tokenizer.check_fits(size).is_ok());
    assert!(tokenizer.check_fits(size + 30).is_ok(), "padded embeddings are fine");
    let error = tokenizer.check_fits(size - 1).unwrap_err();
    insta::assert_snapshot!(error, @"the tokenizer does not fit the model: its token `ten` has id 33, and the model has 33 embeddings (ids 0 to 32)");
}

#[test]
fn what_is_wrong_with_a_tokenizer_directory_is_said() {
    let directory = Directory::new();
    let message = |directory: &Directory| {
        let error = Tokenization::open(directory.path()).unwrap_err();
        let help = error.help().unwrap_or_default();
        directory.strip(&format!("{error}\n  {help}"))
    };
    let mut all = vec![message(&directory)];
    directory.write("vocab.txt", "[PAD]");
    all.push(message(&directory));
    directory.write("tokenizer.json", "{\"version\": \"1.0\"");
    all.push(message(&directory));
    directory.write("tokenizer.json", bert_json().to_string());
    directory.write("tokenizer_config.json", "not json");
    all.push(message(&directory));
    let gone = Tokenization::open(&directory.path().join("modle")).unwrap_err();
    all.push(directory.strip(&gone.to_string()));
    insta::assert_snapshot!(all.join("\n"), @r#"
    here has no tokenizer.json
      give the directory of a Hugging Face checkpoint that has one
    here has no tokenizer.json
      found `vocab.txt`; transformers makes a tokenizer.json of it: AutoTokenizer.from_pretrained(dir).save_pretrained(dir)
    tokenizer.json is not a usable tokenizer file: EOF while parsing an object at line 1 column 17
      fetch the file again, or save it anew from transformers
    tokenizer_config.json is not a usable tokenizer file: expected ident at line 1 column 2
      fetch the file again, or save it anew from transformers
    modle does not exist
    "#);
}

#[test]
fn a_length_that_holds_only_special_tokens_leaves_no_room() {
    assert!(bert().cutting(Some(3), false).is_ok());
    let error = bert().cutting(Some(2), false).unwrap_err();
    insta::assert_snapshot!(format!("{error}; {}", error.help().unwrap()), @"`data.max_length` is 2, and the tokenizer's special tokens alone take 2; set data.max_length to 3 or more");
    assert!(bert().cutting(Some(3), true).is_err(), "a pair takes three");
}
