use retune_roles::Tokenizer as _;

use super::*;
use crate::spec::Columns;
use crate::testing::{bert, bpe};

fn record(fields: &[(&str, &str)]) -> Record {
    let fields = fields.iter().map(|&(name, text)| (name.to_owned(), Value::Text(text.to_owned()))).collect();
    Record::new("t.csv", 2, fields)
}

fn row(spec: &DataSpec, tokenizer: &Tokenization, fields: &[(&str, &str)]) -> Row {
    Encoder::new(spec, tokenizer, Reads::default()).unwrap().row(&record(fields)).unwrap()
}

fn tokens(tokenizer: &Tokenization, ids: &[u32]) -> Vec<String> {
    ids.iter().map(|&id| tokenizer.token_text(id).unwrap()).collect()
}

#[test]
fn a_text_gets_its_special_tokens_and_is_cut_without_losing_them() {
    let tokenizer = bert();
    let mut spec = DataSpec::new("t.csv", TaskKind::SequenceClassification);
    let whole = row(&spec, &tokenizer, &[("text", "My card has not arrived")]);
    assert_eq!(tokens(&tokenizer, &whole.input_ids), ["[CLS]", "my", "card", "has", "not", "arrived", "[SEP]"]);
    assert!(!whole.truncated && !whole.empty && whole.token_type_ids.is_empty());
    spec.max_length = 5;
    let cut = row(&spec, &tokenizer, &[("text", "My card has not arrived")]);
    assert_eq!(tokens(&tokenizer, &cut.input_ids), ["[CLS]", "my", "card", "has", "[SEP]"]);
    assert!(cut.truncated);
    assert!(row(&spec, &tokenizer, &[("text", "")]).empty);
}

#[test]
fn a_pair_has_two_segments_and_the_longer_text_is_cut_first() {
    let tokenizer = bert();
    let mut spec = DataSpec::new("t.csv", TaskKind::SequenceClassification);
    spec.columns.text_pair = Some("other".to_owned());
    spec.max_length = 8;
    let pair = row(&spec, &tokenizer, &[("text", "one two three four five"), ("other", "six seven")]);
    assert_eq!(tokens(&tokenizer, &pair.input_ids), ["[CLS]", "one", "two", "three", "[SEP]", "six", "seven", "[SEP]"]);
    assert_eq!(pair.token_type_ids, [0, 0, 0, 0, 0, 1, 1, 1]);
    assert!(pair.truncated);
}

#[test]
fn a_document_ends_with_the_end_token_unless_it_was_cut() {
    let tokenizer = bpe();
    let (bos, eos) = (tokenizer.bos().unwrap(), tokenizer.eos().unwrap());
    let mut spec = DataSpec::new("t.txt", TaskKind::CausalLm);
    let whole = row(&spec, &tokenizer, &[("text", "two and two")]);
    assert_eq!((whole.input_ids[0], *whole.input_ids.last().unwrap()), (bos, eos));
    let length = whole.input_ids.len();

    spec.max_length = length - 1;
    let no_room = row(&spec, &tokenizer, &[("text", "two and two")]);
    assert_eq!(no_room.input_ids, whole.input_ids[..length - 1]);
    assert!(no_room.truncated, "the end token itself was cut");

    spec.max_length = length - 2;
    let cut = row(&spec, &tokenizer, &[("text", "two and two")]);
    assert_eq!(cut.input_ids, whole.input_ids[..length - 2]);
    assert!(cut.truncated);

    spec.layout = crate::Layout::Blocks;
    assert_eq!(row(&spec, &tokenizer, &[("text", "two and two")]), whole, "blocks are cut later");

    spec.max_length = 64;
    let own = row(&spec, &tokenizer, &[("text", "two</s>")]);
    assert_eq!(own.input_ids.iter().filter(|&&id| id == eos).count(), 1, "an end that is there is not doubled");
}

#[test]
fn a_start_token_in_the_text_beside_the_tokenizers_own_is_noticed() {
    let spec = DataSpec::new("t.txt", TaskKind::CausalLm);
    let tokenizer = bpe();
    assert!(row(&spec, &tokenizer, &[("text", "<s>two")]).doubled_bos);
    assert!(!row(&spec, &tokenizer, &[("text", "two")]).doubled_bos);
}

/// The text of the tokens that are learnt.
fn learnt(tokenizer: &Tokenization, row: &Row) -> String {
    let ids = row.learnt.iter().flat_map(|range| &row.input_ids[range.start as usize..range.end as usize]);
    tokenizer.decode(&[ids.copied().collect()], false).unwrap().remove(0)
}

#[test]
fn of_a_prompt_and_a_completion_only_the_completion_is_learnt_with_its_end() {
    let tokenizer = bpe();
    let mut spec = DataSpec::new("t.jsonl", TaskKind::CausalLm);
    spec.columns =
        Columns { prompt: Some("question".to_owned()), completion: Some("answer".to_owned()), ..Columns::default() };
    let of = |question: &str, answer: &str| row(&spec, &tokenizer, &[("question", question), ("answer", answer)]);

    let plain = of("question: what is two and two? answer:", " four");
    assert_eq!(learnt(&tokenizer, &plain), " four</s>");
    assert!(!plain.seam);
    let joined = row(
        &DataSpec::new("t.jsonl", TaskKind::CausalLm),
        &tokenizer,
        &[("text", "question: what is two and two? answer: four")],
    );
    assert_eq!(plain.input_ids, joined.input_ids, "the tokens are those of the whole text");

    let shared = of("question: what is two and two? answer: ", "four");
    assert!(shared.seam, "` four` is one token across the seam");
    assert_eq!(learnt(&tokenizer, &shared), " four</s>", "no character of the completion goes unlearnt");

    let bytes = of("Ⓒé:", " four");
    assert_eq!(learnt(&tokenizer, &bytes), " four</s>", "the seam is counted in bytes as offsets are");

    let nothing = of("question: what is two?", "");
    assert!(nothing.empty);
    assert_eq!(nothing.trained_tokens(), 0);
    assert_eq!(of("", " four").learnt[0].start, 0);
}

#[test]
fn a_prompt_that_fills_the_length_leaves_nothing_to_learn() {
    let tokenizer = bpe();
    let mut spec = DataSpec::new("t.jsonl", TaskKind::CausalLm);
    spec.columns.prompt = Some("q".to_owned());
    spec.columns.completion = Some("a".to_owned());
    spec.max_length = 4;
    let row = row(&spec, &tokenizer, &[("q", "question: what is two and two?"), ("a", " four")]);
    assert!(row.truncated);
    assert_eq!(row.trained_tokens(), 0);
}
