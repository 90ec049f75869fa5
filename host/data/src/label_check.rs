//! What is odd about a label set: labels that are probably one, or no classes at all.
//!
//! Each is a question of what somebody meant, so each is a warning. Price: a look at every label, none at a row.

use std::collections::BTreeMap;

use retune_roles::nearest::nearest;

use crate::naming::list;
use crate::report::LabelCount;

/// Fewer classes than this are not called too many for their rows.
const MANY: usize = 10;

/// Where labels have fewer rows than this on the average, one that has a single row is nothing odd.
const USUAL: u64 = 5;

/// Sentences about `labels`, each with its number of rows in all splits.
pub(crate) fn check(labels: &[LabelCount]) -> Vec<String> {
    let names: Vec<&str> = labels.iter().map(|label| label.label.as_str()).collect();
    let numbers: Vec<f64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let mut said = Vec::new();
    let by_number = |name: &str| name.parse::<f64>().ok().map(|number| format!("{}", number + 0.0));
    said.extend(equal(&names, by_number, "are equal as numbers"));
    said.extend(equal(&names, |name| Some(name.to_lowercase()), "differ only in upper and lower case"));
    let fractions = numbers.iter().filter(|number| number.fract() != 0.0).count();
    if numbers.len() == names.len() && fractions > 0 {
        said.push(format!(
            "the labels look like scores ({}), and each of the {} is a class of its own; a classification does not know that \
             one is more than another",
            list(&first(&names)),
            names.len()
        ));
    }
    let rows: u64 = labels.iter().map(|label| label.count).sum();
    if names.len() >= MANY && names.len() as u64 * 2 > rows && rows > 0 {
        said.push(format!(
            "there are {} labels for {rows} rows: check that data.columns.label names the column of the classes",
            names.len()
        ));
    }
    let once: Vec<&str> = labels.iter().filter(|label| label.count == 1).map(|label| label.label.as_str()).collect();
    if rows >= USUAL * names.len() as u64 && !once.is_empty() {
        said.push(seen_once(&once, &names));
    }
    for (none, count) in labels.iter().filter(|label| means_none(&label.label, &names)).map(|l| (&l.label, l.count)) {
        said.push(format!(
            "`{none}` is a class like any other ({count} row{}); if it stands for no label, remove its rows",
            if count == 1 { "" } else { "s" }
        ));
    }
    said
}

/// What there is to say of labels with one row each: a single one may be a slip.
fn seen_once(once: &[&str], all: &[&str]) -> String {
    let [label] = once else {
        let more = if once.len() > 4 { format!(" and {} more", once.len() - 4) } else { String::new() };
        return format!("the labels {}{more} have one row each, too few to learn and to measure", list(&first(once)));
    };
    let others = all.iter().copied().filter(|other| other != label);
    match nearest(label, others) {
        Some(other) => format!("the label `{label}` has one row only; is it `{other}`?"),
        None => format!("the label `{label}` has one row only, too few to learn and to measure"),
    }
}

/// Labels that `form` makes equal; of numbers and words in one form only the first sort that applies is told.
fn equal(names: &[&str], form: impl Fn(&str) -> Option<String>, how: &str) -> Option<String> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        if let Some(form) = form(name) {
            groups.entry(form).or_default().push(name);
        }
    }
    let same: Vec<Vec<&str>> = groups.into_values().filter(|group| group.len() > 1).collect();
    let shown: Vec<String> = same.iter().take(3).map(|group| named(group)).collect();
    let more = if same.len() > 3 { format!(" and {} more", same.len() - 3) } else { String::new() };
    (!same.is_empty()).then(|| format!("the labels {}{more} {how} and are classes of their own", shown.join(", ")))
}

fn named(group: &[&str]) -> String {
    group.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

fn first(names: &[&str]) -> Vec<String> {
    names.iter().take(4).map(|&name| name.to_owned()).collect()
}

/// `-1` among numbers that count from 0 or 1, and the words that exports write for nothing.
fn means_none(label: &str, all: &[&str]) -> bool {
    let counts = |name: &&&str| name.parse::<i64>().is_ok_and(|number| number >= 0);
    match label {
        "-1" => all.iter().filter(counts).count() + 1 == all.len() && !(all.len() <= 3 && all.contains(&"1")),
        _ => ["nan", "null", "none", "n/a", "na"].contains(&label.to_lowercase().as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(labels: &[&str]) -> String {
        let counts: Vec<LabelCount> =
            labels.iter().map(|label| LabelCount { label: (*label).to_owned(), count: 2 }).collect();
        check(&counts).join("\n")
    }

    #[test]
    fn labels_that_are_equal_as_numbers_or_but_for_case_are_told() {
        insta::assert_snapshot!(said(&["0", "1", "1.0"]), @"the labels `1` and `1.0` are equal as numbers and are classes of their own");
        insta::assert_snapshot!(said(&["Neg", "Pos", "neg", "pos"]), @"the labels `Neg` and `neg`, `Pos` and `pos` differ only in upper and lower case and are classes of their own");
    }

    #[test]
    fn scores_are_told_and_whole_numbers_are_not() {
        insta::assert_snapshot!(said(&["0.75", "3.1", "4.2", "4.9"]), @"the labels look like scores (`0.75`, `3.1`, `4.2`, `4.9`), and each of the 4 is a class of its own; a classification does not know that one is more than another");
        assert_eq!(said(&["1", "2", "3", "4", "5"]), "");
        assert_eq!(said(&["1.5", "2.5", "other"]), "");
    }

    #[test]
    fn a_label_for_none_is_told_with_its_rows() {
        insta::assert_snapshot!(said(&["-1", "0", "1", "2"]), @"`-1` is a class like any other (2 rows); if it stands for no label, remove its rows");
        insta::assert_snapshot!(said(&["bad", "good", "None"]), @"`None` is a class like any other (2 rows); if it stands for no label, remove its rows");
        assert_eq!(said(&["-1", "1"]), "", "two signs are two classes");
        assert_eq!(said(&["-1", "0", "1"]), "", "so are three");
    }

    #[test]
    fn a_label_that_is_seen_once_among_many_rows_is_told() {
        let counted = |labels: &[(&str, u64)]| {
            let count = |(label, count): &(&str, u64)| LabelCount { label: (*label).to_owned(), count: *count };
            check(&labels.iter().map(count).collect::<Vec<_>>()).join("\n")
        };
        insta::assert_snapshot!(counted(&[("negative", 8), ("positive", 9), ("postive", 1)]), @"the label `postive` has one row only; is it `positive`?");
        insta::assert_snapshot!(counted(&[("bad", 8), ("good", 9), ("spam", 1)]), @"the label `spam` has one row only, too few to learn and to measure");
        insta::assert_snapshot!(counted(&[("bad", 9), ("good", 19), ("spam", 1), ("unsure", 1)]), @"the labels `spam`, `unsure` have one row each, too few to learn and to measure");
        assert_eq!(counted(&[("bad", 3), ("good", 4), ("spam", 1)]), "", "of few rows each may be a trial");
    }

    #[test]
    fn a_label_of_its_own_for_every_row_is_told() {
        let tickets: Vec<LabelCount> =
            (0..30).map(|i| LabelCount { label: format!("ticket-{i}"), count: u64::from(i < 30) }).collect();
        insta::assert_snapshot!(check(&tickets).join("\n"), @"there are 30 labels for 30 rows: check that data.columns.label names the column of the classes");
        assert!(check(&tickets[..4]).is_empty(), "few rows are a trial");
    }
}
