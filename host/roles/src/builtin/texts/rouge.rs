//! ROUGE (Lin 2004) as rouge-score 0.1.2 computes it: F-measures of shared words, pairs of words and longest common
//! subsequences, of the whole text and by lines, averaged over answers.
//!
//! Of several references the best one counts, for each value on its own. Price: the table of the longest common
//! subsequence takes 4 bytes for each pair of a word of a reference's line and a word of an answer's line.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;

use super::porter;
use super::scored::{Score, higher};
use crate::{TextExample, ValueSpec};

/// Settings of `rouge`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RougeConfig {
    /// Compare the stems of words of four letters and more (Porter's stemmer).
    use_stemmer: bool,
}

/// Compares words.
pub struct Rouge(RougeConfig);

type Words = Vec<String>;

impl Rouge {
    /// With these settings.
    pub fn new(config: RougeConfig) -> Self {
        Self(config)
    }

    /// Runs of small ASCII letters and digits.
    fn words(&self, text: &str) -> Words {
        let text = text.to_lowercase();
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit())).filter(|w| !w.is_empty());
        let stemmed = |word: &str| match self.0.use_stemmer && word.len() > 3 {
            true => porter::stem(word),
            false => word.to_owned(),
        };
        words.map(stemmed).filter(|word| !word.is_empty()).collect()
    }

    fn lines(&self, text: &str) -> Vec<Words> {
        text.split('\n').filter(|line| !line.is_empty()).map(|line| self.words(line)).collect()
    }

    /// ROUGE-1, ROUGE-2, ROUGE-L, ROUGE-Lsum.
    fn of(&self, prediction: &str, reference: &str) -> [f64; 4] {
        let (answer, target) = (self.words(prediction), self.words(reference));
        [
            shared(&answer, &target, 1),
            shared(&answer, &target, 2),
            f_measure(common(&target, &answer).len(), answer.len(), target.len()),
            by_lines(&self.lines(prediction), &self.lines(reference)),
        ]
    }
}

/// 2PR/(P+R) of `hits` in an answer and a reference of these sizes.
fn f_measure(hits: usize, answer: usize, target: usize) -> f64 {
    let share = |of: usize| hits as f64 / of.max(1) as f64;
    let (precision, recall) = (share(answer), share(target));
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}

fn shared(answer: &Words, target: &Words, n: usize) -> f64 {
    let counted = |words: &Words| {
        let mut counts: HashMap<Vec<String>, usize> = HashMap::new();
        for ngram in words.windows(n) {
            *counts.entry(ngram.to_vec()).or_default() += 1;
        }
        counts
    };
    let (found, wanted) = (counted(answer), counted(target));
    let hits = wanted.iter().map(|(ngram, count)| found.get(ngram).map_or(0, |other| *count.min(other))).sum();
    f_measure(hits, found.values().sum(), wanted.values().sum())
}

/// Positions in `target` of a longest common subsequence with `answer`: of several, rouge-score's.
fn common(target: &Words, answer: &Words) -> Vec<usize> {
    let columns = answer.len() + 1;
    let mut table = vec![0u32; (target.len() + 1) * columns];
    for (i, wanted) in target.iter().enumerate() {
        for (j, found) in answer.iter().enumerate() {
            let (above, left) = (table[i * columns + j + 1], table[(i + 1) * columns + j]);
            let length = if wanted == found { table[i * columns + j] + 1 } else { above.max(left) };
            table[(i + 1) * columns + j + 1] = length;
        }
    }
    let (mut i, mut j) = (target.len(), answer.len());
    let mut positions = Vec::new();
    while i > 0 && j > 0 {
        if target[i - 1] == answer[j - 1] {
            positions.push(i - 1);
            i -= 1;
            j -= 1;
        } else if table[i * columns + j - 1] > table[(i - 1) * columns + j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    positions
}

/// The union of what each line of the reference has in common with each line of the answer; no word counts more often
/// than it occurs.
fn by_lines(answer: &[Words], target: &[Words]) -> f64 {
    let left = |lines: &[Words]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for word in lines.iter().flatten() {
            *counts.entry(word.clone()).or_default() += 1;
        }
        counts
    };
    let (mut found, mut wanted) = (left(answer), left(target));
    let mut hits = 0;
    for line in target {
        let union: BTreeSet<usize> = answer.iter().flat_map(|other| common(line, other)).collect();
        for word in union.into_iter().map(|at| &line[at]) {
            if let (Some(found @ 1..), Some(wanted @ 1..)) = (found.get_mut(word), wanted.get_mut(word)) {
                hits += 1;
                *found -= 1;
                *wanted -= 1;
            }
        }
    }
    f_measure(hits, answer.iter().map(Vec::len).sum(), target.iter().map(Vec::len).sum())
}

impl Score for Rouge {
    fn name(&self) -> &'static str {
        "rouge"
    }

    /// rouge-score's names.
    fn values(&self) -> Vec<ValueSpec> {
        ["rouge1", "rouge2", "rougeL", "rougeLsum"].map(higher).to_vec()
    }

    fn width(&self) -> usize {
        4
    }

    fn add(&self, example: &TextExample, sums: &mut [f64]) {
        let mut best = [0.0f64; 4];
        for reference in &example.references {
            for (best, value) in best.iter_mut().zip(self.of(&example.prediction, reference)) {
                *best = best.max(value);
            }
        }
        for (sum, value) in sums.iter_mut().zip(best) {
            *sum += value;
        }
    }

    fn compute(&self, rows: f64, sums: &[f64]) -> Vec<f64> {
        sums.iter().map(|sum| sum / rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rouge_scores_readme_has_its_values() {
        // 7 of 9 words and 3 of 8 pairs are shared; 7 words are in order.
        let rouge = Rouge::new(RougeConfig { use_stemmer: true });
        let found = rouge.of("The quick brown dog jumps on the log.", "The quick brown fox jumps over the lazy dog");
        let expected = [12.0 / 17.0, 4.0 / 15.0, 10.0 / 17.0, 10.0 / 17.0];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn nothing_in_common_is_zero_and_not_undefined() {
        let rouge = Rouge::new(RougeConfig::default());
        for (prediction, reference) in [("", ""), ("a", ""), ("", "a"), ("b\n\n", "\na"), ("日本", "日本")] {
            assert_eq!(rouge.of(prediction, reference), [0.0; 4], "{prediction:?} {reference:?}");
        }
    }
}
