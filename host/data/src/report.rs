//! What became of the data, in numbers.
//!
//! Invariant, for every source: `read = limited + dropped + rows - added`, where
//! `dropped` counts every row a stage rejected or filtered and `added` every
//! row beyond the first that a stage made of one. Counts are exact, not sampled.

use serde::{Deserialize, Serialize};

pub use crate::dropped::Dropped;
use crate::spec::SplitName;

/// The whole account of one preparation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    /// One entry a file that was read.
    pub sources: Vec<SourceReport>,
    /// What is handed over: train, validation, test, as far as there are any.
    pub splits: Vec<SplitReport>,
    /// The label set, in the order of the class indices; empty without labels.
    pub labels: Vec<String>,
    /// Texts that stand in two splits.
    pub overlaps: Vec<Overlap>,
    /// Digest of the tokenizer's files.
    pub tokenizer_digest: String,
    /// What somebody should know before training, a sentence each.
    pub warnings: Vec<String>,
}

impl DataReport {
    /// The entry of a split.
    pub fn split(&self, name: SplitName) -> Option<&SplitReport> {
        self.splits.iter().find(|split| split.split == name)
    }

    /// The entry of the file that was read for a split.
    pub fn source(&self, name: SplitName) -> Option<&SourceReport> {
        self.sources.iter().find(|source| source.split == name)
    }
}

/// What became of the rows of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Which split it was read for.
    pub split: SplitName,
    /// The file, as given.
    pub path: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Rows in the file.
    pub read: u64,
    /// Rows left out by `limit_per_label`, before any stage.
    pub limited: u64,
    /// Rows that a stage made beyond the one it was given.
    pub added: u64,
    /// Rows left after all stages.
    pub rows: u64,
    /// Rows that went, by stage and reason, most first.
    pub dropped: Vec<Dropped>,
    /// Where the result came from.
    pub cache: CacheUse,
}

impl SourceReport {
    /// Rows that went, whatever the stage and reason.
    pub fn dropped_rows(&self) -> u64 {
        self.dropped.iter().map(|d| d.count).sum()
    }
}

/// Whether a result was made or found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum CacheUse {
    /// Found, and its checksum holds.
    Hit {
        /// The key it was found under.
        key: String,
    },
    /// Made, and stored.
    Miss {
        /// The key it is stored under.
        key: String,
    },
    /// Found damaged, made again, and stored.
    Rebuilt {
        /// The key it is stored under.
        key: String,
    },
    /// Made, and not stored.
    Off {
        /// Why.
        reason: String,
    },
}

/// What one split holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// Which one.
    pub split: SplitName,
    /// Rows, after preprocessing and splitting.
    pub rows: u64,
    /// Examples made of them: as many as rows, or blocks, or packed sequences.
    pub examples: u64,
    /// Share of the places of packed sequences that hold a token; `None` unless rows are packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill: Option<f64>,
    /// Tokens of all examples.
    pub tokens: u64,
    /// Tokens that are a target of the loss (causal language models), or may be hidden (masked ones); 0 for a classification.
    pub trained_tokens: u64,
    /// Rows cut at `max_length`.
    pub truncated: u64,
    /// Rows that begin with the start token twice.
    pub doubled_bos: u64,
    /// Rows whose text made no token of its own.
    pub empty: u64,
    /// Rows of which every token is learnt, the first excepted.
    #[serde(default)]
    pub all_learnt: u64,
    /// Rows in which the end token of a turn is not learnt.
    #[serde(default)]
    pub unended: u64,
    /// Rows in which a message holds a control token.
    #[serde(default)]
    pub control: u64,
    /// Rows in which a turn of the assistant that is learnt says nothing.
    #[serde(default)]
    pub silent: u64,
    /// Rows in which the template writes a list of parts as a list.
    #[serde(default)]
    pub listed: u64,
    /// Words of tagged rows of which no token is left, so that their tags are not learnt.
    #[serde(default)]
    pub lost_words: u64,
    /// Tags that go on with an entity that none before them begins.
    #[serde(default)]
    pub stray_tags: u64,
    /// Blocks left out because no token of them is a target.
    pub blocks_without_target: u64,
    /// Tokens of the longest example.
    pub longest: u64,
    /// How many examples have how many tokens.
    pub lengths: Vec<LengthBin>,
    /// Rows of each label, or words of each tag, in the order of the label set; empty for a regression.
    pub labels: Vec<LabelCount>,
    /// Rows without any label, where a row may have any number of them.
    #[serde(default)]
    pub unlabelled: u64,
    /// Rows with more than one label.
    #[serde(default)]
    pub several_labels: u64,
    /// The numbers of a regression, in the model's order.
    #[serde(default)]
    pub values: Vec<ValueSummary>,
}

/// A number of a regression, over the rows of a split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueSummary {
    /// Its name.
    pub name: String,
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The largest.
    pub max: f64,
    /// The standard deviation, over all rows (not the sample's).
    pub std: f64,
}

/// Examples whose length lies in a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LengthBin {
    /// Fewest tokens.
    pub from: u64,
    /// Most tokens.
    pub to: u64,
    /// How many examples.
    pub count: u64,
}

/// Rows of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCount {
    /// The label.
    pub label: String,
    /// How many rows.
    pub count: u64,
}

/// Rows of one split whose text also stands in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The split that should be new to the model.
    pub split: SplitName,
    /// The split that holds the same texts.
    pub with: SplitName,
    /// Rows of `split` concerned.
    pub count: u64,
    /// The first few, each beside the row it repeats.
    pub examples: Vec<(String, String)>,
}

/// Counts lengths into bins of equal width (a power of two), at most sixteen of them; empty bins
/// between full ones are kept, so that a picture of it is true to scale.
pub fn histogram(lengths: impl Iterator<Item = usize> + Clone) -> Vec<LengthBin> {
    let longest = lengths.clone().max().unwrap_or(0) as u64;
    if longest == 0 {
        return Vec::new();
    }
    let mut width = 1u64;
    while longest.div_ceil(width) > 16 {
        width *= 2;
    }
    let mut bins: Vec<LengthBin> = (0..longest.div_ceil(width))
        .map(|i| LengthBin { from: i * width + 1, to: (i + 1) * width, count: 0 })
        .collect();
    for length in lengths.filter(|&length| length > 0) {
        bins[(length as u64 - 1) as usize / width as usize].count += 1;
    }
    let first = bins.iter().position(|bin| bin.count > 0).unwrap_or(0);
    bins.drain(..first);
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_falls_into_the_bin_that_names_it() {
        let lengths = [3usize, 1, 17, 16, 33, 32, 31];
        let bins = histogram(lengths.iter().copied());
        assert_eq!(bins.iter().map(|b| b.count).sum::<u64>(), 7);
        for bin in &bins {
            let inside = lengths.iter().filter(|&&l| (bin.from..=bin.to).contains(&(l as u64))).count() as u64;
            assert_eq!(inside, bin.count, "{bin:?}");
        }
        assert!(bins.len() <= 16);
        assert!(bins.windows(2).all(|w| w[0].to + 1 == w[1].from), "bins follow one another");
    }

    #[test]
    fn no_examples_make_no_bins() {
        assert!(histogram(std::iter::empty()).is_empty());
    }
}
