use proptest::prelude::*;
use retune_roles::IGNORE_INDEX;

use super::*;
use crate::row::Row;

fn row(key: &str, ids: &[u32], prompt_tokens: u32) -> Row {
    let mut row = Row { input_ids: ids.to_vec(), ..crate::testing::row(key) };
    row.learn_from(prompt_tokens);
    row
}

/// Examples of rows, blocks without a target, and the targets of each example.
struct Made {
    examples: Vec<Example>,
    without_target: u64,
    targets: Vec<usize>,
}

fn made(rows: &[Row], layout: Layout, max_length: usize) -> Made {
    let rows = crate::testing::selection(rows.to_vec());
    let spec = DataSpec { layout, max_length, ..DataSpec::new("t", TaskKind::CausalLm) };
    let (data, without_target) = Dataset::new(rows, &spec, SplitName::Train);
    let examples = data.to_vec();
    let known = |(row, example): (usize, &Example)| {
        assert_eq!(data.length(row), example.tokens());
        assert_eq!(data.get(row).as_ref(), example);
        data.targets(row)
    };
    let targets = examples.iter().enumerate().map(known).collect();
    assert_eq!(data.digest(), examples.digest(), "as of the same rows in memory");
    Made { examples, without_target, targets }
}

fn labels(example: &Example) -> Vec<i64> {
    example.sequences[0].next_token_labels()
}

#[test]
fn a_label_is_the_next_token_and_the_last_has_none() {
    let made = made(&[row("t:1", &[5, 6, 7], 0)], Layout::Rows, 8);
    assert_eq!(labels(&made.examples[0]), [6, 7, IGNORE_INDEX]);
    assert_eq!(made.targets, [2]);
}

#[test]
fn a_prompt_is_shown_and_not_learnt_but_its_last_token_predicts_the_completion() {
    let made = made(&[row("t:1", &[5, 6, 7, 8], 2)], Layout::Rows, 8);
    assert_eq!(labels(&made.examples[0]), [IGNORE_INDEX, 7, 8, IGNORE_INDEX]);
}

#[test]
fn blocks_are_named_after_the_row_they_begin_in_and_keep_the_short_rest() {
    let rows = [row("t:1", &[1, 2, 3], 0), row("t:4", &[4, 5, 6, 7], 0), row("t:9", &[8], 0)];
    let made = made(&rows, Layout::Blocks, 3);
    let seen: Vec<(&str, &[u32])> =
        made.examples.iter().map(|e| (e.key.as_str(), e.sequences[0].ids.as_slice())).collect();
    assert_eq!(seen, [("t:1@0", &[1, 2, 3][..]), ("t:4@1", &[4, 5, 6]), ("t:4@2", &[7, 8])]);
    assert_eq!(labels(&made.examples[2]), [8, IGNORE_INDEX]);
}

#[test]
fn a_block_with_no_target_is_left_out_and_counted() {
    let made = made(&[row("t:1", &[1, 2, 3, 4], 0)], Layout::Blocks, 3);
    assert_eq!((made.examples.len(), made.without_target), (1, 1), "the rest is one token with nothing behind it");
}

proptest! {
    #[test]
    fn blocks_lose_no_token_and_every_label_is_the_next_token_of_its_block(
        lengths in prop::collection::vec((1usize..9, 0u32..4), 1..20),
        max_length in 2usize..12,
    ) {
        let mut next = 0;
        let rows: Vec<Row> = lengths.iter().enumerate().map(|(i, &(length, prompt))| {
            let ids: Vec<u32> = (next..next + length as u32).collect();
            next += length as u32;
            row(&format!("t:{i}"), &ids, prompt)
        }).collect();
        let prompts: Vec<bool> =
            lengths.iter().flat_map(|&(length, prompt)| (0..length).map(move |t| t < prompt as usize)).collect();
        let made = made(&rows, Layout::Blocks, max_length);
        let tokens: usize = made.examples.iter().map(|e| e.tokens()).sum();
        prop_assert_eq!((next as usize).div_ceil(max_length), made.examples.len() + made.without_target as usize);
        prop_assert!(tokens <= next as usize);
        for (example, targets) in made.examples.iter().zip(&made.targets) {
            prop_assert!(example.tokens() <= max_length);
            prop_assert!(*targets > 0);
            prop_assert_eq!(example.sequences[0].learnt_tokens(), *targets);
            for (t, label) in labels(example).into_iter().enumerate() {
                let expected = example.sequences[0].ids.get(t + 1).filter(|&&id| !prompts[id as usize]);
                prop_assert_eq!(label, expected.map_or(IGNORE_INDEX, |&id| i64::from(id)));
            }
        }
    }
}

#[test]
fn packed_rows_stay_whole_and_know_where_they_came_from() {
    let all = [row("t:1", &[1, 2, 3], 0), row("t:2", &[4, 5], 1), row("t:3", &[6, 7, 8, 9], 0), row("t:4", &[8, 9], 0)];
    let packed = made(&all, Layout::Packed, 6);
    assert_eq!(packed.examples.iter().map(|e| e.sequences.len()).sum::<usize>(), 4);
    let rows = crate::testing::selection(all.to_vec());
    let spec = DataSpec { layout: Layout::Packed, max_length: 6, ..DataSpec::new("t", TaskKind::CausalLm) };
    let (data, _) = Dataset::new(rows, &spec, SplitName::Train);
    for (number, example) in packed.examples.iter().enumerate() {
        let keys = data.packed_keys(number);
        assert_eq!(example.key, format!("{}@{number}", keys[0]));
        for (key, sequence) in keys.iter().zip(&example.sequences) {
            assert_eq!(sequence.ids, all.iter().find(|row| row.key == *key).unwrap().input_ids);
        }
    }
    let other = DataSpec { seed: 1, ..spec.clone() };
    let rows = || crate::testing::selection(all.to_vec());
    assert_eq!(
        Dataset::new(rows(), &spec, SplitName::Train).0.digest(),
        data.digest(),
        "of the seed and the rows alone"
    );
    assert_ne!(Dataset::new(rows(), &other, SplitName::Train).0.digest(), data.digest());
    let (evaluated, _) = Dataset::new(rows(), &spec, SplitName::Validation);
    assert!(evaluated.places().is_none() && evaluated.len() == 4, "what is evaluated is evaluated row by row");
}

proptest! {
    #[test]
    fn packing_loses_and_repeats_no_row_and_fills_all_sequences_but_one_half(
        lengths in prop::collection::vec((1usize..9, 0u32..4), 1..60),
        max_length in 8usize..20,
    ) {
        let rows: Vec<Row> = lengths.iter().enumerate().map(|(i, &(length, prompt))| {
            row(&format!("t:{i}"), &vec![i as u32; length], prompt)
        }).collect();
        let apart = made(&rows, Layout::Rows, max_length);
        let packed = made(&rows, Layout::Packed, max_length);
        prop_assert!(packed.examples.iter().all(|example| example.tokens() <= max_length));
        prop_assert!(packed.examples.iter().filter(|example| 2 * example.tokens() <= max_length).count() <= 1);
        prop_assert_eq!(apart.targets.iter().sum::<usize>(), packed.targets.iter().sum::<usize>());
        let mut documents: Vec<Sequence> = packed.examples.into_iter().flat_map(|example| example.sequences).collect();
        documents.sort_by_key(|document| document.ids[0]);
        let expected: Vec<Sequence> = apart.examples.into_iter().flat_map(|example| example.sequences).collect();
        prop_assert_eq!(documents, expected);
    }
}
