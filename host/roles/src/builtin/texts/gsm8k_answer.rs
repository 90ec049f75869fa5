//! The share of right answers to GSM8K's questions, as lm-evaluation-harness counts them.
//!
//! Strict: the number after the first `#### ` is the reference's. Flexible: the last number of the answer is. Commas,
//! dollar signs and a full stop at the end do not count, and of the reference only what follows its last `#### `.

use super::scored::{Score, higher};
use crate::{TextExample, ValueSpec};

const MARK: &str = "#### ";
/// What the harness compares where an answer has no number.
const NO_NUMBER: &str = "[invalid]";

/// Compares the numbers that answers come to.
pub struct Gsm8kAnswer;

impl Score for Gsm8kAnswer {
    fn name(&self) -> &'static str {
        "gsm8k-answer"
    }

    fn values(&self) -> Vec<ValueSpec> {
        vec![higher("gsm8k_answer"), higher("gsm8k_answer_flexible")]
    }

    fn width(&self) -> usize {
        2
    }

    fn add(&self, example: &TextExample, sums: &mut [f64]) {
        let found = [strict(&example.prediction), flexible(&example.prediction)];
        for (sum, number) in sums.iter_mut().zip(found) {
            let number = normal(number.unwrap_or(NO_NUMBER));
            if example.references.iter().any(|reference| normal(reference) == number) {
                *sum += 1.0;
            }
        }
    }

    fn compute(&self, rows: f64, sums: &[f64]) -> Vec<f64> {
        sums.iter().map(|sum| sum / rows).collect()
    }
}

/// The first match of `#### (\-?[0-9\.\,]+)`.
fn strict(text: &str) -> Option<&str> {
    text.match_indices(MARK).find_map(|(at, _)| {
        let rest = &text[at + MARK.len()..];
        let minus = usize::from(rest.starts_with('-'));
        let length = run(&rest[minus..], |c| c.is_ascii_digit() || ".,".contains(c));
        (length > 0).then(|| &rest[..minus + length])
    })
}

/// The last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)`.
fn flexible(text: &str) -> Option<&str> {
    let (mut last, mut at) = (None, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let minus = usize::from(rest.starts_with('-'));
        let written = run(&rest[minus..], |c| c.is_ascii_digit() || "$.,".contains(c));
        let digits = run(&rest[minus..], |c| c.is_ascii_digit());
        let length = if written >= 2 { written } else { digits };
        if length > 0 {
            last = Some(&rest[..minus + length]);
            at += minus + length;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    last
}

/// Bytes of the characters at the beginning that are `fit`.
fn run(text: &str, fit: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fit(c)).unwrap_or(text.len())
}

/// Without commas and dollar signs, what stands before the last `#### `, and a full stop at the end; in small letters.
fn normal(text: &str) -> String {
    let text: String = text.chars().filter(|c| !",$".contains(*c)).collect();
    let text = text.rfind(MARK).map_or(text.as_str(), |at| &text[at + MARK.len()..]);
    // Python's `$` stands before a line break at the end as well.
    let text = match text.strip_suffix(".\n") {
        Some(number) => format!("{number}\n"),
        None => text.strip_suffix('.').unwrap_or(text).to_owned(),
    };
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_what_the_harness_takes_it_for() {
        assert_eq!(strict("so 3+4\n#### 7"), Some("7"));
        assert_eq!(strict("#### none\n#### -1,234.50 and #### 8"), Some("-1,234.50"));
        assert_eq!(strict("####7"), None);
        assert_eq!(flexible("in 2 days it is $1,234."), Some("$1,234."));
        assert_eq!(flexible("é 5 - 3."), Some("3."));
        assert_eq!(flexible("a $ or a . or -"), None);
        assert_eq!(normal("She has 5.\n#### $1,200."), "1200");
    }

    #[test]
    fn an_answer_is_right_strictly_or_by_its_last_number() {
        let mut sums = [0.0; 2];
        let reference = "She eats 3 + 4 = 7.\n#### 7";
        for (prediction, expected) in
            [("#### 7.", [1.0, 1.0]), ("It is 7", [1.0, 2.0]), ("#### 7 of 12", [2.0, 2.0]), ("none", [2.0, 2.0])]
        {
            Gsm8kAnswer.add(&TextExample::new("a", prediction, &[reference]), &mut sums);
            assert_eq!(sums, expected, "{prediction}");
        }
    }
}
