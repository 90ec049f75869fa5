//! Numbers of a split, and the sentences that somebody should read before training.

use crate::examples::{Examples, targets};
use crate::overlap::Repeats;
use crate::report::{CacheUse, DataReport, LabelCount, SplitReport, histogram};
use crate::row::Row;
use crate::spec::{DataSpec, Layout, SplitName, TaskKind};

/// Labels named in one sentence.
const NAMED: usize = 5;

/// Counts one split.
pub fn split_report(split: SplitName, rows: &[Row], made: &Examples, labels: &[String]) -> SplitReport {
    let lengths = made.examples.iter().map(|example| example.input_ids.len());
    let mut counts = vec![0u64; labels.len()];
    for class in rows.iter().filter_map(|row| row.class) {
        if let Some(count) = counts.get_mut(class as usize) {
            *count += 1;
        }
    }
    let count = |which: fn(&Row) -> bool| rows.iter().filter(|row| which(row)).count() as u64;
    SplitReport {
        split,
        rows: rows.len() as u64,
        examples: made.examples.len() as u64,
        tokens: lengths.clone().sum::<usize>() as u64,
        trained_tokens: made.examples.iter().map(targets).sum::<usize>() as u64,
        truncated: count(|row| row.truncated),
        doubled_bos: count(|row| row.doubled_bos),
        empty: count(|row| row.empty),
        blocks_without_target: made.without_target,
        longest: lengths.clone().max().unwrap_or(0) as u64,
        lengths: histogram(lengths),
        labels: labels.iter().zip(counts).map(|(label, count)| LabelCount { label: label.clone(), count }).collect(),
    }
}

/// What the numbers give cause to say.
pub fn warnings(report: &DataReport, spec: &DataSpec, repeats: &Repeats, seams: u64, has_eos: bool) -> Vec<String> {
    let mut said = Vec::new();
    for source in &report.sources {
        if let CacheUse::Rebuilt { key } = &source.cache {
            said.push(format!(
                "the kept rows of the {} data were damaged and were made again (key {key})",
                source.split
            ));
        }
    }
    for overlap in &report.overlaps {
        let (row, other) = overlap.examples.first().cloned().unwrap_or_default();
        said.push(format!(
            "{} stand{} in {} too (first: {row} repeats {other}): a score over them says nothing about new text",
            of_rows(overlap.count, overlap.split),
            if overlap.count == 1 { "s" } else { "" },
            overlap.with,
        ));
    }
    if let Some((row, other)) = &repeats.example {
        said.push(format!(
            "{} text{} of train carr{} more than one label (first: {row} and {other})",
            repeats.contradictions,
            if repeats.contradictions == 1 { "" } else { "s" },
            if repeats.contradictions == 1 { "ies" } else { "y" },
        ));
    }
    for split in &report.splits {
        if split.truncated > 0 {
            let share = split.truncated as f64 * 100.0 / split.rows as f64;
            said.push(format!(
                "{} ({share:.1} %) {} cut at {} tokens",
                of_rows(split.truncated, split.split),
                were(split.truncated),
                spec.max_length
            ));
        }
        if split.doubled_bos > 0 {
            said.push(format!(
                "{} begin{} with the start token twice: the text brings one and the tokenizer adds one",
                of_rows(split.doubled_bos, split.split),
                if split.doubled_bos == 1 { "s" } else { "" }
            ));
        }
        if split.empty > 0 {
            said.push(format!(
                "{} {} no token besides the special ones",
                of_rows(split.empty, split.split),
                if split.empty == 1 { "has" } else { "have" }
            ));
        }
        if split.blocks_without_target > 0 {
            said.push(format!(
                "{} block{} of {} {} left out: no token of them is learnt",
                split.blocks_without_target,
                if split.blocks_without_target == 1 { "" } else { "s" },
                split.split,
                were(split.blocks_without_target)
            ));
        }
        let absent: Vec<&str> = split.labels.iter().filter(|l| l.count == 0).map(|l| l.label.as_str()).collect();
        if !absent.is_empty() && split.split != SplitName::Test {
            said.push(format!("{} has no row of {}", split.split, named(&absent)));
        }
    }
    if seams > 0 {
        said.push(format!(
            "in {seams} row{} the end of the prompt and the start of the completion share a token; \
             end prompts without a space and begin completions with it",
            if seams == 1 { "" } else { "s" }
        ));
    }
    if spec.task == TaskKind::CausalLm && !has_eos {
        said.push(match spec.layout {
            Layout::Rows => "the tokenizer has no eos token: the model does not learn where a text ends".to_owned(),
            Layout::Blocks => "the tokenizer has no eos token: texts run into one another inside a block".to_owned(),
        });
    }
    said
}

fn of_rows(count: u64, split: SplitName) -> String {
    format!("{count} row{} of {split}", if count == 1 { "" } else { "s" })
}

fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

fn named(labels: &[&str]) -> String {
    let shown: Vec<String> = labels.iter().take(NAMED).map(|label| format!("`{label}`")).collect();
    match labels.len().saturating_sub(NAMED) {
        0 => format!("{} label{}: {}", labels.len(), if labels.len() == 1 { "" } else { "s" }, shown.join(", ")),
        more => format!("{} labels: {} and {more} more", labels.len(), shown.join(", ")),
    }
}
