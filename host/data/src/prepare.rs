//! The whole way: files to examples, and the account of it.
//!
//! Order of work: everything that can be refused without reading is refused; the label set is found; each
//! file is read in windows through the preprocessors and the tokenizer (or taken from the cache); the
//! validation split is cut off; splits are compared; examples are made. Nothing is trained
//! before all of it has held.

use std::collections::{BTreeSet, HashMap};

use retune_roles::{Example, Stage, TaskKind, Tokenizer as _};

use crate::examples::examples;
use crate::labels::LabelSet;
use crate::load::{Loader, check_columns};
use crate::overlap::{overlap, repeats};
use crate::report::DataReport;
use crate::row::Row;
use crate::source::Rows;
use crate::spec::{DataSpec, Source, SplitName, Validation};
use crate::summary::{split_report, warnings};
use crate::tokenize::NOTHING_TO_LEARN;
use crate::{DataError, Result, Tokenization};

/// What a run trains and is judged on.
#[derive(Debug)]
pub struct Prepared {
    /// What the model learns from.
    pub train: Vec<Example>,
    /// What decides when to stop; empty when the spec asks for none.
    pub validation: Vec<Example>,
    /// Evaluated once, at the end.
    pub test: Option<Vec<Example>>,
    /// The label set in the order of the class indices; empty for a causal language model.
    pub labels: Vec<String>,
    /// The account of every row.
    pub report: DataReport,
}

/// How far the reading of a file has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataProgress {
    /// The split it is read for.
    pub split: SplitName,
    /// The file's name.
    pub file: String,
    /// Bytes taken from it.
    pub bytes_read: u64,
    /// Its length.
    pub bytes_total: u64,
    /// Rows that came through so far.
    pub rows: u64,
}

/// The label set of a classification: given, or found in the training rows and sorted; empty for a causal language
/// model. Reads no more than the label column.
///
/// # Errors
/// The training file cannot be read, a row has no label, or there are fewer than two labels.
pub fn label_set(spec: &DataSpec) -> Result<Vec<String>> {
    Ok(labels(spec)?.map(|set| set.names().to_vec()).unwrap_or_default())
}

fn labels(spec: &DataSpec) -> Result<Option<LabelSet>> {
    let Some(column) = &spec.columns.label else { return Ok(None) };
    if spec.task == TaskKind::CausalLm {
        return Ok(None);
    }
    if let Some(names) = &spec.labels {
        return LabelSet::given(names).map(Some);
    }
    let mut rows = Rows::open(&spec.train)?;
    if let Some(header) = rows.header() {
        check_columns(header, &format!("{}:1", spec.train.name()), column, "data.columns.label")?;
    }
    let mut names = BTreeSet::new();
    let mut any = false;
    for record in &mut rows {
        let label = record?.label(column)?;
        any = true;
        if !names.contains(&label) {
            names.insert(label);
        }
    }
    if !any {
        return Err(rows.without_rows());
    }
    LabelSet::found(names, &spec.train.name()).map(Some)
}

/// Prepares the splits of a run.
///
/// # Errors
/// Whatever is wrong with the spec, a file, a row or a preprocessor.
pub fn prepare(
    spec: &DataSpec,
    stages: &[Stage],
    tokenizer: &Tokenization,
    progress: &mut dyn FnMut(&DataProgress),
) -> Result<Prepared> {
    spec.check()?;
    let mut files = vec![(SplitName::Train, &spec.train)];
    if let Validation::File(source) = &spec.validation {
        files.push((SplitName::Validation, source));
    }
    files.extend(spec.test.iter().map(|source| (SplitName::Test, source)));
    // A missing file is found before minutes are spent on another.
    for (_, source) in &files {
        Rows::open(source)?;
    }
    let labels = labels(spec)?;
    let mut report = DataReport {
        labels: labels.as_ref().map(|set| set.names().to_vec()).unwrap_or_default(),
        tokenizer_digest: tokenizer.digest().to_owned(),
        warnings: tokenizer.warnings().to_vec(),
        ..DataReport::default()
    };
    let loader = Loader { spec, labels: labels.as_ref(), stages, tokenizer };
    let mut splits: Vec<(SplitName, Vec<Row>)> = Vec::new();
    for (name, source) in files {
        let rows = loader.load(name, source, &mut report, progress)?;
        match spec.validation {
            Validation::Split { fraction } if name == SplitName::Train => {
                let count = rows.len();
                let (train, validation) = crate::split::split(rows, fraction, spec.seed);
                if validation.is_empty() || train.is_empty() {
                    return Err(DataError::TooFewToSplit { file: source.name(), rows: count, fraction });
                }
                splits.push((SplitName::Train, train));
                splits.push((SplitName::Validation, validation));
            }
            _ => splits.push((name, rows)),
        }
    }
    let mut made = HashMap::new();
    for (name, rows) in &splits {
        let done = examples(rows, spec.task, spec.layout, spec.max_length);
        if done.examples.is_empty() {
            let account = vec![nothing_to_learn(rows)];
            return Err(DataError::nothing_left(format!("the {name} split"), rows.len() as u64, account));
        }
        report.splits.push(split_report(*name, rows, &done, &report.labels));
        made.insert(*name, done.examples);
    }
    for later in 1..splits.len() {
        for earlier in 0..later {
            let ((split, rows), (with, others)) = (&splits[later], &splits[earlier]);
            report.overlaps.extend(overlap(*split, rows, *with, others));
        }
    }
    let repeated = splits.first().map(|(_, rows)| repeats(rows)).unwrap_or_default();
    let seams = splits.iter().flat_map(|(_, rows)| rows).filter(|row| row.seam).count() as u64;
    let more = warnings(&report, spec, &repeated, seams, tokenizer.eos().is_some());
    report.warnings.extend(more);
    Ok(Prepared {
        train: made.remove(&SplitName::Train).unwrap_or_default(),
        validation: made.remove(&SplitName::Validation).unwrap_or_default(),
        test: made.remove(&SplitName::Test),
        labels: report.labels.clone(),
        report,
    })
}

/// Prepares one file, for evaluation (`labels` given: every row must have one of them) or for prediction (`None`:
/// the label column is not read, and examples have no target if the task is a classification).
///
/// # Errors
/// Whatever is wrong with the spec, the file, a row or a preprocessor.
pub fn prepare_source(
    spec: &DataSpec,
    split: SplitName,
    source: &Source,
    labels: Option<&[String]>,
    stages: &[Stage],
    tokenizer: &Tokenization,
    progress: &mut dyn FnMut(&DataProgress),
) -> Result<(Vec<Example>, DataReport)> {
    spec.check()?;
    let labels = labels.map(|names| LabelSet::of_model(names, spec.labels.is_some())).transpose()?;
    let mut report = DataReport {
        labels: labels.as_ref().map(|set| set.names().to_vec()).unwrap_or_default(),
        tokenizer_digest: tokenizer.digest().to_owned(),
        warnings: tokenizer.warnings().to_vec(),
        ..DataReport::default()
    };
    let loader = Loader { spec, labels: labels.as_ref(), stages, tokenizer };
    let rows = loader.load(split, source, &mut report, progress)?;
    let done = examples(&rows, spec.task, spec.layout, spec.max_length);
    if done.examples.is_empty() {
        let account = vec![nothing_to_learn(&rows)];
        return Err(DataError::nothing_left(source.name(), rows.len() as u64, account));
    }
    report.splits.push(split_report(split, &rows, &done, &report.labels));
    let seams = rows.iter().filter(|row| row.seam).count() as u64;
    let more = warnings(&report, spec, &repeats(&rows), seams, tokenizer.eos().is_some());
    report.warnings.extend(more);
    Ok((done.examples, report))
}

fn nothing_to_learn(rows: &[Row]) -> crate::Dropped {
    crate::Dropped {
        stage: "tokenize".to_owned(),
        reason: NOTHING_TO_LEARN.to_owned(),
        count: rows.len() as u64,
        keys: rows.iter().take(5).map(|row| row.key.clone()).collect(),
    }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
