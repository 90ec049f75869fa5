use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The row of a line, with a text of its own.
fn row(line: u64, seed: u64) -> SplitRow {
    let mut text = [0; 16];
    text[..8].copy_from_slice(&line.to_le_bytes());
    let rank = SplitRow::rank(seed, &format!("t.csv:{line}"));
    SplitRow { rank, line: Some(line), text: Some(text), ..SplitRow::default() }
}

fn classed(classes: &[u32], seed: u64) -> Vec<SplitRow> {
    let make = |(i, &class): (usize, &u32)| SplitRow { class: Some(class), ..row(i as u64 + 2, seed) };
    classes.iter().enumerate().map(make).collect()
}

/// Both parts: (train, validation).
fn parts(rows: &[SplitRow], fraction: f64, seed: u64) -> (Vec<SplitRow>, Vec<SplitRow>) {
    let held_out = choose(rows, fraction, seed);
    let part =
        |side: bool| rows.iter().zip(&held_out).filter(|(_, held)| **held == side).map(|(row, _)| *row).collect();
    (part(false), part(true))
}

fn lines(rows: &[SplitRow]) -> BTreeSet<Option<u64>> {
    rows.iter().map(|row| row.line).collect()
}

#[test]
fn ten_rows_a_label_and_a_tenth_give_one_row_of_each_label() {
    let classes: Vec<u32> = (0..77).flat_map(|class| [class; 10]).collect();
    let (train, validation) = parts(&classed(&classes, 42), 0.1, 42);
    assert_eq!((train.len(), validation.len()), (693, 77));
    assert_eq!(validation.iter().map(|row| row.class.unwrap()).collect::<BTreeSet<_>>().len(), 77);
}

#[test]
fn another_seed_makes_another_split_and_the_same_seed_the_same() {
    let held = |seed| lines(&parts(&classed(&[0; 200], seed), 0.2, seed).1);
    assert_eq!(held(1), held(1));
    assert_ne!(held(1), held(2));
}

#[test]
fn rows_that_a_stage_made_of_one_stay_together() {
    let mut rows = Vec::new();
    for line in 2..60u64 {
        for part in 0..3u8 {
            let rank = SplitRow::rank(7, &format!("t.csv:{line}#{part}"));
            rows.push(SplitRow { rank, text: Some([line as u8 * 3 + part; 16]), ..row(line, 7) });
        }
    }
    let (train, validation) = parts(&rows, 0.3, 7);
    assert!(lines(&train).is_disjoint(&lines(&validation)));
    assert_eq!(validation.len() % 3, 0);
    assert_eq!(validation.len(), 17 * 3, "0.3 of 58 origins");
}

#[test]
fn duplicates_of_a_text_are_never_on_both_sides_whatever_their_label() {
    let rows: Vec<SplitRow> = (0..100u64)
        .map(|i| SplitRow { text: Some([(i % 40) as u8; 16]), class: Some((i % 3) as u32), ..row(i + 2, 3) })
        .collect();
    let (train, validation) = parts(&rows, 0.2, 3);
    let texts = |rows: &[SplitRow]| rows.iter().map(|row| row.text).collect::<BTreeSet<_>>();
    assert!(texts(&train).is_disjoint(&texts(&validation)));
    assert!((15..=20).contains(&validation.len()), "{}", validation.len());
    // Rows without a text are not duplicates of one another.
    let empty: Vec<SplitRow> = rows.iter().map(|row| SplitRow { text: None, ..*row }).collect();
    assert_eq!(parts(&empty, 0.2, 3).1.len(), 20);
}

#[test]
fn a_group_stays_together_also_by_way_of_a_text_that_two_groups_share() {
    let mut rows: Vec<SplitRow> =
        (0..60u64).map(|i| SplitRow { group: Some([(i / 6) as u8; 16]), ..row(i + 2, 1) }).collect();
    rows[6].text = rows[0].text;
    let (train, validation) = parts(&rows, 0.3, 1);
    let groups = |rows: &[SplitRow]| rows.iter().map(|row| row.group).collect::<BTreeSet<_>>();
    assert!(groups(&train).is_disjoint(&groups(&validation)));
    assert_eq!(validation.len(), 18, "three groups of six, or the pair and one more");
    let pair: BTreeSet<_> = [Some([0; 16]), Some([1; 16])].into();
    let inside = |rows: &[SplitRow]| groups(rows).intersection(&pair).count();
    assert!([0, 2].contains(&inside(&train)) && [0, 2].contains(&inside(&validation)));
    // Groups that are all larger than the share: the smallest is taken.
    let uneven: Vec<SplitRow> =
        (0..60u64).map(|i| SplitRow { group: Some([u8::from(i < 20); 16]), ..row(i + 2, 1) }).collect();
    assert_eq!(parts(&uneven, 0.1, 1).1.len(), 20);
}

#[test]
fn one_row_cannot_be_split_and_a_label_keeps_its_last_row() {
    assert!(parts(&classed(&[0], 0), 0.5, 0).1.is_empty());
    assert!(parts(&classed(&[0, 1, 2], 0), 0.5, 0).1.is_empty(), "every label has one row only");
    let (train, validation) = parts(&classed(&[0, 1, 1, 1], 0), 0.9, 0);
    assert_eq!((train.len(), validation.len()), (2, 2));
    assert!(train.iter().any(|row| row.class == Some(0)));
}

proptest! {
    #[test]
    fn the_parts_are_disjoint_complete_in_order_and_of_the_right_size(
        classes in prop::collection::vec(0u32..6, 2..300),
        fraction in 0.01f64..0.99,
        seed in any::<u64>(),
    ) {
        let rows = classed(&classes, seed);
        let (train, validation) = parts(&rows, fraction, seed);
        prop_assert!(lines(&train).is_disjoint(&lines(&validation)));
        let mut all: Vec<Option<u64>> = train.iter().chain(&validation).map(|row| row.line).collect();
        all.sort_unstable();
        prop_assert_eq!(all, rows.iter().map(|row| row.line).collect::<Vec<_>>());
        for part in [&train, &validation] {
            prop_assert!(part.windows(2).all(|pair| pair[0].line < pair[1].line));
        }
        let labels: BTreeSet<u32> = classes.iter().copied().collect();
        let most = rows.len() - labels.len();
        let wanted = ((rows.len() as f64 * fraction).round() as usize).clamp(1, most.max(1)).min(most);
        prop_assert_eq!(validation.len(), wanted);
        for label in labels {
            let of = |rows: &[SplitRow]| rows.iter().filter(|row| row.class == Some(label)).count();
            prop_assert!(of(&train) > 0);
            let quota = of(&rows) as f64 * fraction;
            let got = of(&validation) as f64;
            // A label with no room left passes its share on to the others.
            prop_assert!(got + 1.0 > quota.min(of(&rows) as f64 - 1.0), "{} of {}", got, quota);
        }
    }

    #[test]
    fn the_split_of_a_row_does_not_depend_on_the_rows_order(seed in any::<u64>(), turn in 1usize..40) {
        let rows = classed(&[0; 41], seed);
        let mut turned = rows.clone();
        turned.rotate_left(turn);
        prop_assert_eq!(lines(&parts(&rows, 0.25, seed).1), lines(&parts(&turned, 0.25, seed).1));
    }
}
