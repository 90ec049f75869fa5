use proptest::prelude::*;
use retune_roles::Sequence;

use super::*;

const MASK: u32 = 4;

fn masking(probability: f64, seed: u64) -> Masking {
    Masking { seed, probability, mask: MASK, others: (5..1000).collect(), continues: Arc::default() }
}

/// `[CLS]`, so many tokens, `[SEP]`.
fn row(tokens: u32) -> Example {
    let ids = std::iter::once(2).chain((0..tokens).map(|i| 10 + i % 900)).chain([3]).collect();
    let learnt = std::iter::once(1..tokens + 1).collect();
    Example::new("a", Sequence { ids, segments: Vec::new(), learnt }, Target::None)
}

fn labels(example: &Example) -> &[i32] {
    match &example.target {
        Target::Labels(labels) => labels,
        other => panic!("{other:?}"),
    }
}

/// Of the chosen tokens the shares that are hidden, replaced, and kept; and the share that is chosen.
fn shares(examples: &[(Example, Example)]) -> [f64; 4] {
    let mut counts = [0u64; 4];
    for (before, after) in examples {
        let ids = before.sequences[0].ids.iter().zip(&after.sequences[0].ids);
        for ((before, after), label) in ids.zip(labels(after)) {
            counts[3] += 1;
            match *label {
                -100 => assert_eq!(before, after, "a token that is not chosen stays"),
                label => {
                    assert_eq!(label, *before as i32, "the label is what was there");
                    counts[if *after == MASK { 0 } else { usize::from(before == after) + 1 }] += 1;
                }
            }
        }
    }
    let chosen = counts[..3].iter().sum::<u64>() as f64;
    [0, 1, 2]
        .map(|i| counts[i] as f64 / chosen)
        .into_iter()
        .chain([chosen / counts[3] as f64])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

#[test]
fn of_the_chosen_four_in_five_are_hidden_one_in_ten_is_another_and_one_in_ten_stays() {
    let masking = masking(0.15, 1);
    let made: Vec<_> = (0..400).map(|at| (row(500), masking.apply(row(500), at, Some(0)))).collect();
    let [hidden, replaced, kept, chosen] = shares(&made);
    // Of 30,000 chosen tokens: four standard deviations.
    assert!(
        (hidden - 0.8).abs() < 0.01 && (replaced - 0.1).abs() < 0.008 && (kept - 0.1).abs() < 0.008,
        "{hidden} {replaced} {kept}"
    );
    assert!((chosen * 502.0 / 500.0 - 0.15).abs() < 0.004, "{chosen}");
}

#[test]
fn special_tokens_are_never_chosen() {
    let made = masking(0.999, 1).apply(row(50), 0, None);
    let ids = &made.sequences[0].ids;
    assert_eq!((ids[0], ids[51], labels(&made)[0], labels(&made)[51]), (2, 3, -100, -100));
    assert!(labels(&made)[1..51].iter().filter(|label| **label != -100).count() > 40);
}

#[test]
fn masks_are_a_function_of_seed_epoch_and_row() {
    let of = |seed, row_number, epoch| masking(0.5, seed).apply(row(200), row_number, epoch);
    assert_eq!(of(1, 7, Some(2)), of(1, 7, Some(2)));
    let base = of(1, 7, Some(2));
    for other in [of(2, 7, Some(2)), of(1, 8, Some(2)), of(1, 7, Some(3)), of(1, 7, None)] {
        let equal = labels(&base).iter().zip(labels(&other)).filter(|(a, b)| a == b).count();
        assert!((70..135).contains(&equal), "{equal} of 202 agree; about 102 would by chance");
    }
}

#[test]
fn a_tokens_fate_does_not_depend_on_the_tokens_behind_it() {
    let (long, short) = (masking(0.3, 1).apply(row(60), 0, None), masking(0.3, 1).apply(row(30), 0, None));
    assert_eq!(labels(&long)[..30], labels(&short)[..30]);
    assert_eq!(long.sequences[0].ids[..30], short.sequences[0].ids[..30]);
}

proptest! {
    #[test]
    fn a_word_is_chosen_with_all_of_its_pieces_or_not_at_all(pieces in prop::collection::vec(any::<bool>(), 1..60), seed: u64) {
        // Even ids begin a word, odd ones go on with it.
        let ids: Vec<u32> = pieces.iter().map(|goes_on| 100 + u32::from(*goes_on)).collect();
        let learnt = std::iter::once(0..ids.len() as u32).collect();
        let example = Example::new("a", Sequence { ids, segments: Vec::new(), learnt }, Target::None);
        let continues = (0..200).map(|id| id % 2 == 1).collect();
        let made = Masking { continues, ..masking(0.4, seed) }.apply(example, 3, Some(0));
        for (at, goes_on) in pieces.iter().enumerate().skip(1) {
            if *goes_on {
                prop_assert_eq!(labels(&made)[at] == -100, labels(&made)[at - 1] == -100, "{}", at);
            }
        }
    }
}

#[test]
fn a_tokenizer_without_a_mask_token_is_refused_by_name() {
    let error = Masking::new(MaskSpec::default(), 0, &crate::testing::bpe()).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("the tokenizer ") && said.contains("has no mask token"), "{said}");
    assert!(error.help().unwrap().contains("BERT or RoBERTa"));
}

#[test]
fn tokens_show_where_words_begin_in_wordpieces_and_in_bytes() {
    use retune_roles::Tokenizer as _;
    let bert = crate::testing::bert();
    let goes_on = |tokenizer: &Tokenization, token: &str| {
        tokenizer.continuations().unwrap()[tokenizer.token_id(token).unwrap() as usize]
    };
    assert!(goes_on(&bert, "##s") && !goes_on(&bert, "card"));
    let bpe = crate::testing::bpe();
    assert!(goes_on(&bpe, "a") && !goes_on(&bpe, "\u{120}"));
}

#[test]
fn no_special_token_stands_in_anothers_place() {
    let bert = crate::testing::bert();
    let special: Vec<u32> = bert.special_ids().collect();
    let plain = bert.plain_ids();
    assert!(!plain.is_empty() && plain.iter().all(|id| !special.contains(id)));
}
