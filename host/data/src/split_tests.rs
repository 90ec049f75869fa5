use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A row with a key and a text, and nothing else of note.
pub(crate) fn row(key: &str, text: [u8; 16]) -> Row {
    Row {
        key: key.to_owned(),
        line: None,
        input_ids: vec![1, 2, 3],
        token_type_ids: Vec::new(),
        prompt_tokens: 0,
        class: None,
        extra: Vec::new(),
        text,
        truncated: false,
        doubled_bos: false,
        empty: false,
        seam: false,
    }
}

fn classed(classes: &[u32]) -> Vec<Row> {
    let make = |(i, &class): (usize, &u32)| Row {
        line: Some(i as u64 + 2),
        class: Some(class),
        ..row(&format!("t.csv:{}", i + 2), [0; 16])
    };
    classes.iter().enumerate().map(make).collect()
}

fn keys(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|row| row.key.clone()).collect()
}

#[test]
fn ten_rows_a_label_and_a_tenth_give_one_row_of_each_label() {
    let classes: Vec<u32> = (0..77).flat_map(|class| [class; 10]).collect();
    let (train, validation) = split(classed(&classes), 0.1, 42);
    assert_eq!((train.len(), validation.len()), (693, 77));
    assert_eq!(validation.iter().map(|row| row.class.unwrap()).collect::<BTreeSet<_>>().len(), 77);
}

#[test]
fn another_seed_makes_another_split_and_the_same_seed_the_same() {
    let rows = classed(&[0; 200]);
    let (_, a) = split(rows.clone(), 0.2, 1);
    let (_, b) = split(rows.clone(), 0.2, 2);
    assert_eq!(split(rows, 0.2, 1).1, a);
    assert_ne!(keys(&a), keys(&b));
}

#[test]
fn rows_that_a_stage_made_of_one_stay_together() {
    let mut rows = Vec::new();
    for line in 2..60u64 {
        for part in 0..3 {
            rows.push(Row { line: Some(line), ..row(&format!("t.csv:{line}#{part}"), [0; 16]) });
        }
    }
    let (train, validation) = split(rows, 0.3, 7);
    let lines = |rows: &[Row]| rows.iter().map(|row| row.line).collect::<BTreeSet<_>>();
    assert!(lines(&train).is_disjoint(&lines(&validation)));
    assert_eq!(validation.len() % 3, 0);
    assert_eq!(validation.len(), 17 * 3, "0.3 of 58 origins");
}

#[test]
fn one_row_cannot_be_split_and_a_label_keeps_its_last_row() {
    assert!(split(classed(&[0]), 0.5, 0).1.is_empty());
    assert!(split(classed(&[0, 1, 2]), 0.5, 0).1.is_empty(), "every label has one row only");
    let (train, validation) = split(classed(&[0, 1, 1, 1]), 0.9, 0);
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
        let rows = classed(&classes);
        let (train, validation) = split(rows.clone(), fraction, seed);
        prop_assert!(keys(&train).is_disjoint(&keys(&validation)));
        let mut all: Vec<Row> = train.iter().chain(&validation).cloned().collect();
        all.sort_by_key(|row| row.line);
        prop_assert_eq!(&all, &rows);
        for part in [&train, &validation] {
            prop_assert!(part.windows(2).all(|pair| pair[0].line < pair[1].line));
        }
        let labels: BTreeSet<u32> = classes.iter().copied().collect();
        let most = rows.len() - labels.len();
        let wanted = ((rows.len() as f64 * fraction).round() as usize).clamp(1, most.max(1)).min(most);
        prop_assert_eq!(validation.len(), wanted);
        for label in labels {
            let of = |rows: &[Row]| rows.iter().filter(|row| row.class == Some(label)).count();
            prop_assert!(of(&train) > 0);
            let quota = of(&rows) as f64 * fraction;
            let got = of(&validation) as f64;
            // A label with no room left passes its share on to the others.
            prop_assert!(got + 1.0 > quota.min(of(&rows) as f64 - 1.0), "{} of {}", got, quota);
        }
    }

    #[test]
    fn the_split_of_a_row_does_not_depend_on_the_rows_order(seed in any::<u64>(), turn in 1usize..40) {
        let rows = classed(&[0; 41]);
        let mut turned = rows.clone();
        turned.rotate_left(turn);
        prop_assert_eq!(keys(&split(rows, 0.25, seed).1), keys(&split(turned, 0.25, seed).1));
    }
}
