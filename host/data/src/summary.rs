//! Numbers of a split, and the sentences that somebody should read before training.

use retune_roles::{Rows as _, TaskKind};

use crate::chat_check;
use crate::dataset::Dataset;
use crate::label_check;
use crate::overlap::Repeats;
use crate::report::{CacheUse, DataReport, LabelCount, SplitReport, ValueSummary, histogram};
use crate::rows_file::RowHead;
use crate::spec::{DataSpec, Layout, SplitName};
use crate::tags;
use crate::tokenize::{CUT_AWAY, NO_TOKENS, NOTHING_TO_LEARN};

/// Labels named in one sentence.
const NAMED: usize = 5;

/// Numbers of a regression that are larger take many steps to reach.
const FAR: f64 = 20.0;

/// Counts one split, of which `without_target` blocks were left out.
pub(crate) fn split_report(split: SplitName, data: &Dataset, without_target: u64, labels: &[String]) -> SplitReport {
    let rows = data.rows();
    let mut counts = vec![0u64; labels.len()];
    let (mut truncated, mut doubled_bos, mut empty) = (0, 0, 0);
    let (mut all_learnt, mut unended, mut control, mut silent, mut listed) = (0, 0, 0, 0, 0);
    let (mut lost_words, mut stray_tags) = (0, 0);
    let (mut unlabelled, mut several_labels) = (0, 0);
    for (row, head) in rows.heads().enumerate() {
        let (file, number) = rows.locate(row);
        // The first token is never a target, so that it does not matter whether it is meant to be learnt.
        let all = matches!(file.learnt(number).as_slice(), [only] if only.start <= 1 && only.end == head.tokens);
        all_learnt += u64::from(all);
        unended += u64::from(head.unended);
        control += u64::from(head.control);
        silent += u64::from(head.silent);
        listed += u64::from(head.listed);
        if let Some(count) = rows.class(&head).and_then(|class| counts.get_mut(class as usize)) {
            *count += 1;
        }
        if let Some(classes) = rows.classes(row) {
            unlabelled += u64::from(classes.is_empty());
            several_labels += u64::from(classes.len() > 1);
            for class in classes {
                counts[class as usize] += 1;
            }
        }
        lost_words += u64::from(head.lost);
        let mut before = None;
        for class in
            data.classes_of_tokens(row).filter(|(class, first)| *first && *class >= 0).map(|(class, _)| class as usize)
        {
            let Some(tag) = labels.get(class) else { continue };
            counts[class] += 1;
            stray_tags += u64::from(tags::strays(before, tag));
            before = Some(tag.as_str());
        }
        let RowHead { truncated: cut, doubled_bos: doubled, empty: none, .. } = head;
        truncated += u64::from(cut);
        doubled_bos += u64::from(doubled);
        empty += u64::from(none);
    }
    let values = values(data, labels);
    let lengths = (0..data.len()).map(|row| data.length(row));
    SplitReport {
        split,
        rows: rows.len() as u64,
        examples: data.len() as u64,
        fill: data.places().map(|places| lengths.clone().sum::<usize>() as f64 / places.max(1) as f64),
        tokens: lengths.clone().sum::<usize>() as u64,
        trained_tokens: (0..data.len()).map(|row| data.targets(row)).sum::<usize>() as u64,
        truncated,
        doubled_bos,
        empty,
        all_learnt,
        unended,
        control,
        silent,
        listed,
        lost_words,
        stray_tags,
        blocks_without_target: without_target,
        longest: lengths.clone().max().unwrap_or(0) as u64,
        lengths: histogram(lengths),
        labels: if values.is_empty() {
            labels.iter().zip(counts).map(|(label, count)| LabelCount { label: label.clone(), count }).collect()
        } else {
            Vec::new()
        },
        unlabelled,
        several_labels,
        values,
    }
}

/// The numbers of a regression, called `names`; nothing for another task.
fn values(data: &Dataset, names: &[String]) -> Vec<ValueSummary> {
    let all: Vec<Vec<f32>> = (0..data.rows().len()).filter_map(|row| data.values(row)).collect();
    if all.is_empty() {
        return Vec::new();
    }
    let of = |at: usize| all.iter().filter_map(move |values| values.get(at)).map(|value| f64::from(*value));
    let summary = |(at, name): (usize, &String)| {
        let count = of(at).count() as f64;
        let mean = of(at).sum::<f64>() / count;
        ValueSummary {
            name: name.clone(),
            min: of(at).fold(f64::INFINITY, f64::min),
            mean,
            max: of(at).fold(f64::NEG_INFINITY, f64::max),
            std: (of(at).map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt(),
        }
    };
    names.iter().enumerate().map(summary).collect()
}

/// What is odd about what rows with any number of labels, or with numbers, teach.
fn about_several(train: &SplitReport, task: TaskKind) -> Vec<String> {
    let mut said = Vec::new();
    if task == TaskKind::MultiLabelClassification && train.several_labels == 0 && train.unlabelled == 0 {
        said.push(
            "every row of train has exactly one label; task = \"sequence-classification\" says so to the model"
                .to_owned(),
        );
    }
    for value in &train.values {
        let (name, mean, std) = (&value.name, value.mean, value.std);
        if value.min == value.max {
            said.push(format!("`{name}` is {mean} in every row of train: there is nothing to learn"));
        } else if mean.abs() > FAR || std > FAR {
            said.push(format!(
                "`{name}` has mean {mean:.4} and standard deviation {std:.4} in train; a new head begins near 0 and moves by \
                 about the learning rate a step: numbers between -{FAR} and {FAR} are learnt in fewer steps"
            ));
        }
    }
    said
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
    for source in &report.sources {
        for idle in &source.dropped {
            let them = if idle.count == 1 { "it" } else { "them" };
            let why = match idle.reason.as_str() {
                NOTHING_TO_LEARN => format!("nothing of {them} is learnt"),
                CUT_AWAY => {
                    format!("what is learnt of {them} lies behind {} tokens (data.max_length)", spec.max_length)
                }
                NO_TOKENS => format!("the tokenizer makes no token of {them}"),
                _ => continue,
            };
            said.push(format!(
                "{} {} left out: {why} (first: {})",
                of_rows(idle.count, source.split),
                were(idle.count),
                idle.keys.first().map_or("", String::as_str),
            ));
        }
    }
    if let Some(train) = report.split(SplitName::Train) {
        said.extend(about_several(train, spec.task));
        if spec.task == TaskKind::TokenClassification {
            said.extend(tags::warning(&report.labels));
        } else if spec.labels.is_none() && spec.task != TaskKind::Regression {
            said.extend(label_check::check(&label_counts(report)));
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
                "{} ({share:.1} %) {} cut at {} tokens (data.max_length){}",
                of_rows(split.truncated, split.split),
                were(split.truncated),
                spec.max_length,
                match (spec.task, split.truncated) {
                    (TaskKind::CausalLm, 1) if has_eos => ", and does not learn where it ends",
                    (TaskKind::CausalLm, _) if has_eos => ", and do not learn where they end",
                    _ => "",
                },
            ));
        }
        if split.doubled_bos > 0 {
            said.push(format!(
                "{} begin{} with the start token twice: the text brings one and the {} adds one",
                of_rows(split.doubled_bos, split.split),
                if split.doubled_bos == 1 { "s" } else { "" },
                if spec.chat.is_some() { "template" } else { "tokenizer" },
            ));
        }
        if split.empty > 0 {
            said.push(format!(
                "{} {} no token besides the special ones",
                of_rows(split.empty, split.split),
                if split.empty == 1 { "has" } else { "have" }
            ));
        }
        if split.lost_words > 0 {
            let s = if split.lost_words == 1 { "" } else { "s" };
            let their = if split.lost_words == 1 { "its tag is" } else { "their tags are" };
            said.push(format!(
                "{} word{s} of {} lie{} behind {} tokens (data.max_length), or make{} no token: {their} not learnt",
                split.lost_words,
                split.split,
                if split.lost_words == 1 { "s" } else { "" },
                spec.max_length,
                if split.lost_words == 1 { "s" } else { "" },
            ));
        }
        if split.stray_tags > 0 {
            said.push(format!(
                "{} tag{} of {} go{} on with an entity that no word before begins (I- without B-): each counts as a beginning",
                split.stray_tags,
                if split.stray_tags == 1 { "" } else { "s" },
                split.split,
                if split.stray_tags == 1 { "es" } else { "" },
            ));
        }
        if let Some(chat) = &spec.chat {
            said.extend(chat_check::warnings(split, chat));
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
            let what = if spec.task == TaskKind::TokenClassification { "word" } else { "row" };
            said.push(format!("{} has no {what} of {}", split.split, named(&absent)));
        }
    }
    if seams > 0 && spec.chat.is_some() {
        said.push(format!(
            "in {seams} row{} a turn begins with other tokens than behind the template's prompt alone: neither the prompt \
             should end with a space, nor a message of the assistant begin with one",
            if seams == 1 { "" } else { "s" }
        ));
    } else if seams > 0 {
        said.push(format!(
            "in {seams} row{} the end of the prompt and the start of the completion share a token; \
             end prompts without a space and begin completions with it",
            if seams == 1 { "" } else { "s" }
        ));
    }
    if spec.task == TaskKind::CausalLm && !has_eos && spec.chat.is_none() {
        said.push(match spec.layout {
            Layout::Rows | Layout::Packed => {
                "the tokenizer has no eos token: the model does not learn where a text ends".to_owned()
            }
            Layout::Blocks => "the tokenizer has no eos token: texts run into one another inside a block".to_owned(),
        });
    }
    said
}

/// Rows of each label over all splits.
fn label_counts(report: &DataReport) -> Vec<LabelCount> {
    let mut counts: Vec<LabelCount> =
        report.labels.iter().map(|label| LabelCount { label: label.clone(), count: 0 }).collect();
    for split in &report.splits {
        for (all, own) in counts.iter_mut().zip(&split.labels) {
            all.count += own.count;
        }
    }
    counts
}

fn of_rows(count: u64, split: SplitName) -> String {
    format!("{count} row{} of {split}", if count == 1 { "" } else { "s" })
}

fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

fn named(labels: &[&str]) -> String {
    let shown: Vec<String> = labels.iter().take(NAMED).map(|label| format!("`{label}`")).collect();
    match (labels.len(), labels.len().saturating_sub(NAMED)) {
        (1, _) => format!("the label {}", shown.join("")),
        (all, 0) => format!("{all} labels: {}", shown.join(", ")),
        (all, more) => format!("{all} labels: {} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Dropped, Overlap, SourceReport};
    use crate::row::Row;

    fn source() -> SourceReport {
        SourceReport {
            split: SplitName::Train,
            path: "train.jsonl".to_owned(),
            sha256: String::new(),
            bytes: 0,
            read: 60,
            limited: 0,
            added: 0,
            rows: 50,
            dropped: vec![Dropped {
                stage: "tokenize".to_owned(),
                reason: NOTHING_TO_LEARN.to_owned(),
                count: 10,
                keys: vec!["train.jsonl:7".to_owned()],
            }],
            cache: CacheUse::Rebuilt { key: "abc".to_owned() },
        }
    }

    #[test]
    fn everything_odd_is_said_once_and_nothing_else_is() {
        let mut spec = DataSpec::new("train.jsonl", TaskKind::CausalLm);
        let row = |line| Row {
            truncated: line < 10,
            doubled_bos: line == 20,
            empty: line == 30,
            label: Some((u32::from(line < 40) * 2).to_string()),
            ..crate::testing::row(&format!("train.jsonl:{line}"))
        };
        let dataset = |lines: std::ops::Range<u32>, spec: &DataSpec| {
            let rows = crate::testing::selection(lines.map(row));
            Dataset::new(rows, spec, SplitName::Train).0
        };
        let labels: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let made = dataset(2..52, &spec);
        let report = DataReport {
            sources: vec![source()],
            splits: vec![split_report(SplitName::Train, &made, 1, &labels)],
            labels,
            overlaps: vec![Overlap {
                split: SplitName::Test,
                with: SplitName::Train,
                count: 2,
                examples: vec![("test.jsonl:3".to_owned(), "train.jsonl:9".to_owned())],
            }],
            ..DataReport::default()
        };
        let repeats = Repeats {
            repeated: 4,
            contradictions: 2,
            example: Some(("train.jsonl:2".to_owned(), "train.jsonl:8".to_owned())),
        };
        let said = warnings(&report, &spec, &repeats, 3, true).join("\n");
        insta::assert_snapshot!(said, @r#"
        the kept rows of the train data were damaged and were made again (key abc)
        10 rows of train were left out: nothing of them is learnt (first: train.jsonl:7)
        2 rows of test stand in train too (first: test.jsonl:3 repeats train.jsonl:9): a score over them says nothing about new text
        2 texts of train carry more than one label (first: train.jsonl:2 and train.jsonl:8)
        8 rows of train (16.0 %) were cut at 128 tokens (data.max_length), and do not learn where they end
        1 row of train begins with the start token twice: the text brings one and the tokenizer adds one
        1 row of train has no token besides the special ones
        1 block of train was left out: no token of them is learnt
        train has no row of the label `b`
        in 3 rows the end of the prompt and the start of the completion share a token; end prompts without a space and begin completions with it
        "#);

        let clean = DataReport {
            splits: vec![split_report(SplitName::Train, &dataset(32..37, &spec), 0, &[])],
            ..DataReport::default()
        };
        assert!(warnings(&clean, &spec, &Repeats::default(), 0, true).is_empty());
        assert_eq!(warnings(&clean, &spec, &Repeats::default(), 0, false).len(), 1, "no eos token");
        spec.task = TaskKind::SequenceClassification;
        assert!(warnings(&clean, &spec, &Repeats::default(), 0, false).is_empty());
    }
}
