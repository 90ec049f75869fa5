use retune_roles::Value;

use super::*;
use crate::spec::DataSpec;
use crate::testing::{bert, bpe};
use crate::tokenize::{Encoder, Reads};
use crate::{TaskKind, Tokenization};

fn record(fields: &[(&str, Value)]) -> Record {
    Record::new("t.jsonl", 2, fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn lists(words: &str, tags: &str) -> Record {
    record(&[("tokens", Value::Json(words.to_owned())), ("tags", Value::Json(tags.to_owned()))])
}

fn spec() -> DataSpec {
    DataSpec::new("t.jsonl", TaskKind::TokenClassification)
}

fn row(spec: &DataSpec, tokenizer: &Tokenization, record: &Record, label: bool) -> Result<crate::row::Row> {
    Encoder::new(spec, tokenizer, Reads { label, group: false })?.row(record)
}

#[test]
fn the_first_piece_of_a_word_has_its_tag_and_the_others_say_that_they_are_further_ones() {
    let record = lists(r#"["My", "cards", "failed"]"#, r#"["O", "B-X", "O"]"#);
    let row = row(&spec(), &bert(), &record, true).unwrap();
    // [CLS] my card ##s failed [SEP]
    assert_eq!(row.input_ids.len(), 6);
    let tags = row.tags.unwrap();
    assert_eq!(tags.names, ["O", "B-X"]);
    assert_eq!(tags.numbers, [-100, 0, 1, 1 | FURTHER, 0, -100]);
    assert_eq!(tags.lost, 0);
}

#[test]
fn words_that_are_cut_off_or_make_no_token_are_counted() {
    let mut spec = spec();
    spec.max_length = 5;
    let record = lists(r#"["one", "\u0000", "two", "cards", "four"]"#, r#"[1, 2, 3, 4, 5]"#);
    let tags = row(&spec, &bert(), &record, true).unwrap().tags.unwrap();
    // [CLS] one two card [SEP]
    assert_eq!(tags.numbers, [-100, 0, 2, 3, -100]);
    assert_eq!(tags.names, ["1", "2", "3", "4", "5"]);
    assert_eq!(tags.lost, 2, "the second makes no token, the fifth is cut off; of the fourth the first piece is there");
}

#[test]
fn without_labels_a_token_knows_the_number_of_its_word() {
    let record = record(&[("tokens", Value::Text("my cards failed".to_owned()))]);
    let tags = row(&spec(), &bert(), &record, false).unwrap().tags.unwrap();
    assert_eq!((tags.names.len(), tags.numbers), (0, vec![-100, 0, 1, 1 | FURTHER, 2, -100]));
}

#[test]
fn words_of_a_tokenizer_of_bytes_bring_their_space() {
    use retune_roles::Tokenizer as _;
    let tokenizer = bpe();
    let record = lists(r#"["the", "answer"]"#, r#"["O", "O"]"#);
    let row = row(&spec(), &tokenizer, &record, true).unwrap();
    assert_eq!(tokenizer.decode(&[row.input_ids[1..].to_vec()], true).unwrap(), [" the answer"]);
}

#[test]
fn a_table_holds_lists_as_json_or_with_spaces() {
    let text = |words: &str, tags: &str| {
        let record = record(&[("tokens", Value::Text(words.to_owned())), ("tags", Value::Text(tags.to_owned()))]);
        row(&spec(), &bert(), &record, true).unwrap().tags.unwrap()
    };
    assert_eq!(text(r#"["one", "two"]"#, r#"["O", "B-X"]"#), text(" one  two", "O B-X"));
}

#[test]
fn what_is_no_list_or_of_another_length_is_refused_with_its_row() {
    let said = |record: &Record| {
        let error = row(&spec(), &bert(), record, true).err().unwrap();
        format!("{error}\n  {}", error.help().unwrap_or_default())
    };
    let all = [
        lists(r#"["one", "two"]"#, r#"["O"]"#),
        lists(r#"["one", 2]"#, r#"["O", "O"]"#),
        lists(r#"["one"]"#, r#"[0.5]"#),
        lists(r#"{"a": 1}"#, r#"["O"]"#),
        record(&[("tokens", Value::Integer(3)), ("tags", Value::Null)]),
        record(&[("tokens", Value::Text("one".to_owned())), ("tags", Value::Null)]),
        record(&[("tokens", Value::Text("one".to_owned()))]),
    ];
    insta::assert_snapshot!(all.iter().map(said).collect::<Vec<_>>().join("\n"), @r#"
    t.jsonl:2 has 2 words in column `tokens` and 1 tag in column `tags`
      give every word a tag; `O` is that of a word in no entity
    t.jsonl:2 holds nested JSON in column `tokens` (data.columns.tokens); expected a list of words
      
    t.jsonl:2 holds nested JSON in column `tags` (data.columns.tags); expected a list of names or whole numbers
      
    t.jsonl:2 holds nested JSON in column `tokens` (data.columns.tokens); expected a list of words
      
    t.jsonl:2 holds a value of kind integer in column `tokens` (data.columns.tokens); expected a list of words
      
    t.jsonl:2 has no value in column `tags` (data.columns.tags)
      fill the value in, or remove the row
    t.jsonl:2 has no column `tags` (data.columns.tags)
      the columns are `tokens`; set data.columns.tags to one of them
    "#);
}

#[test]
fn an_inside_without_a_beginning_is_a_stray() {
    let strays = |tags: &[&str]| {
        let before = [None].into_iter().chain(tags.iter().map(|tag| Some(*tag)));
        before.zip(tags).filter(|(before, tag)| strays(*before, tag)).count()
    };
    assert_eq!(strays(&["B-A", "I-A", "I-A", "O", "B-B"]), 0);
    assert_eq!(strays(&["I-A", "I-A", "O", "I-A", "B-B", "I-A"]), 3);
}

#[test]
fn further_pieces_of_an_entity_are_inside_of_it() {
    let names = ["O", "B-PER", "I-PER", "B-X", "NOUN"].map(str::to_owned);
    assert_eq!(insides(&names), [0, 2, 2, 3, 4], "without an inside tag a piece has the tag of its word");
}

#[test]
fn tags_that_say_nothing_of_entities_are_told() {
    let said =
        |names: &[&str]| warning(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!(said(&["B-PER", "O"]), "");
    assert_eq!(said(&["I-PER", "O"]), "");
    insta::assert_snapshot!(said(&["0", "1", "2"]), @"the tags are the numbers 0 to 2: entities cannot be told from numbers; name them, in their order, in data.labels");
    insta::assert_snapshot!(said(&["NOUN", "VERB"]), @"no tag begins with B- or I- (there is `NOUN`, `VERB`): runs of one tag count as entities; the metric `accuracy` counts words");
}
