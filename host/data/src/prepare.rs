//! The whole way: files to examples, and the account of it.
//!
//! Order of work: everything that can be refused without reading is refused; the label set is found; each
//! file is read in windows through the preprocessors and the tokenizer (or taken from the cache); the
//! validation split is cut off; splits are compared; examples are made. Nothing is trained
//! before all of it has held.

use std::collections::{BTreeSet, HashMap};

use retune_roles::{Example, Stage, Tokenizer as _};

use crate::cache::{Account, Cache, Found, Key};
use crate::examples::examples;
use crate::labels::LabelSet;
use crate::overlap::{overlap, repeats};
use crate::parallel::ordered;
use crate::pipeline::Pipeline;
use crate::record::Record;
use crate::report::{CacheUse, DataReport, SourceReport};
use crate::row::Row;
use crate::source::{Rows, digest};
use crate::spec::{DataSpec, Layout, Source, SplitName, TaskKind, Validation};
use crate::stage::Drops;
use crate::summary::{split_report, warnings};
use crate::tokenize::Encoder;
use crate::{DataError, Result, Tokenization};

/// Rows that are in memory as text at one time.
const WINDOW: usize = 8192;
/// Rows a thread tokenises at a time.
const CHUNK: usize = 128;
/// Changes whenever the same inputs would give other rows.
const CACHE_VERSION: &str = "1";

/// What a run trains and is judged on.
#[derive(Debug)]
pub struct Prepared {
    /// What the model learns from.
    pub train: Vec<Example>,
    /// What decides when to stop; empty when the spec asks for none.
    pub validation: Vec<Example>,
    /// What is opened once, at the end.
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
    check_header(&rows, &spec.train, column, "data.columns.label")?;
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
    let mut splits: Vec<(SplitName, Vec<Row>)> = Vec::new();
    for (name, source) in files {
        let rows = load(spec, name, source, labels.as_ref(), stages, tokenizer, &mut report, progress)?;
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
    let labels = labels.map(LabelSet::given).transpose()?;
    let mut report = DataReport {
        labels: labels.as_ref().map(|set| set.names().to_vec()).unwrap_or_default(),
        tokenizer_digest: tokenizer.digest().to_owned(),
        warnings: tokenizer.warnings().to_vec(),
        ..DataReport::default()
    };
    let rows = load(spec, split, source, labels.as_ref(), stages, tokenizer, &mut report, progress)?;
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

/// The reason of a row that has no token for the loss.
pub const NOTHING_TO_LEARN: &str = "nothing-to-learn";

/// Rows of one file, made or found, with their account in the report.
#[allow(clippy::too_many_arguments, reason = "one call site a caller; a struct would only rename them")]
fn load(
    spec: &DataSpec,
    split: SplitName,
    source: &Source,
    labels: Option<&LabelSet>,
    stages: &[Stage],
    tokenizer: &Tokenization,
    report: &mut DataReport,
    progress: &mut dyn FnMut(&DataProgress),
) -> Result<Vec<Row>> {
    let (sha256, bytes) = digest(source)?;
    let mut pipeline = Pipeline::new(stages, spec.seed, spec.batch, spec.threads())?;
    let encoder = Encoder::new(spec, tokenizer, labels)?;
    let key = key(spec, split, source, &sha256, labels, stages, tokenizer)?;
    let cache = match (&spec.cache_dir, pipeline.uncacheable()) {
        (Some(directory), None) => Ok(Cache::new(directory)),
        (Some(_), Some(stage)) => Err(format!("{stage} says that its results may not be kept")),
        (None, _) => Err("no cache directory is set".to_owned()),
    };
    let found = cache.as_ref().map_or(Found::Absent, |cache| cache.load(&key));
    let damaged = found == Found::Damaged;
    let (account, rows, used) = match (found, cache) {
        (Found::Whole(account, rows), _) => (account, rows, CacheUse::Hit { key }),
        (_, cache) => {
            let (account, rows) = build(spec, split, source, bytes, &mut pipeline, &encoder, progress)?;
            let used = match cache {
                Err(reason) => CacheUse::Off { reason },
                Ok(cache) => match cache.store(&key, &account, &rows) {
                    Ok(()) if damaged => CacheUse::Rebuilt { key },
                    Ok(()) => CacheUse::Miss { key },
                    Err(e) => {
                        let reason = format!("{} cannot be written: {e}", cache.path(&key).display());
                        report.warnings.push(format!("prepared rows are not kept: {reason}"));
                        CacheUse::Off { reason }
                    }
                },
            };
            (account, rows, used)
        }
    };
    progress(&DataProgress {
        split,
        file: source.name(),
        bytes_read: bytes,
        bytes_total: bytes,
        rows: rows.len() as u64,
    });
    if rows.is_empty() {
        return Err(DataError::nothing_left(source.name(), account.read, account.dropped));
    }
    report.sources.push(SourceReport {
        split,
        path: source.path.display().to_string(),
        sha256,
        bytes,
        read: account.read,
        limited: account.limited,
        added: account.added,
        rows: rows.len() as u64,
        dropped: account.dropped,
        cache: used,
    });
    Ok(rows)
}

fn key(
    spec: &DataSpec,
    split: SplitName,
    source: &Source,
    sha256: &str,
    labels: Option<&LabelSet>,
    stages: &[Stage],
    tokenizer: &Tokenization,
) -> Result<String> {
    let json = |value: serde_json::Value| value.to_string();
    let mut key = Key::default()
        .part("version", CACHE_VERSION)
        .part("file", source.name())
        .part("bytes", sha256)
        .part("tokenizer", tokenizer.digest());
    for stage in stages {
        key = key.part("stage", &stage.name).part("fingerprint", &stage.fingerprint);
    }
    let limit = spec.limit_per_label.filter(|_| split == SplitName::Train);
    // The length matters to rows only where they are cut one by one.
    let max_length = (spec.layout == Layout::Rows).then_some(spec.max_length);
    Ok(key
        .part(
            "spec",
            json(serde_json::json!({
                "format": source.resolved_format()?, "columns": spec.columns, "extra_columns": spec.extra_columns,
                "max_length": max_length, "task": spec.task, "layout": spec.layout, "seed": spec.seed,
                "batch": spec.batch, "limit_per_label": limit, "labels": labels.map(LabelSet::names),
            })),
        )
        .finish())
}

/// The columns of a file with a header must be there before the first row is looked at.
fn check_header(rows: &Rows, source: &Source, column: &str, purpose: &str) -> Result<()> {
    match rows.header() {
        Some(header) => check_columns(header, &format!("{}:1", source.name()), column, purpose),
        None => Ok(()),
    }
}

fn check_columns(available: &[String], place: &str, column: &str, purpose: &str) -> Result<()> {
    if available.iter().any(|name| name == column) {
        return Ok(());
    }
    let nearest = crate::nearest::nearest(column, available.iter().map(String::as_str)).map(str::to_owned);
    Err(DataError::ColumnMissing {
        place: place.to_owned(),
        column: column.to_owned(),
        purpose: purpose.to_owned(),
        nearest,
        available: available.to_vec(),
    })
}

fn build(
    spec: &DataSpec,
    split: SplitName,
    source: &Source,
    bytes_total: u64,
    pipeline: &mut Pipeline<'_>,
    encoder: &Encoder<'_>,
    progress: &mut dyn FnMut(&DataProgress),
) -> Result<(Account, Vec<Row>)> {
    let mut reader = Rows::open(source)?;
    let limit = spec.limit_per_label.filter(|_| split == SplitName::Train).zip(spec.columns.label.as_deref());
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut account = Account::default();
    let mut drops = Drops::default();
    let mut kept: Vec<Row> = Vec::new();
    let mut workers = vec![(); spec.threads()];
    let mut tokenise = |records: Vec<Record>, kept: &mut Vec<Row>| -> Result<()> {
        let chunks: Vec<&[Record]> = records.chunks(CHUNK).collect();
        let rows = ordered(chunks, &mut workers, |(), chunk: &[Record]| {
            chunk.iter().map(|record| encoder.row(record)).collect::<Result<Vec<Row>>>()
        })?;
        for row in rows.into_iter().flatten() {
            let idle = match (spec.task, spec.layout) {
                (TaskKind::SequenceClassification, _) => false,
                (TaskKind::CausalLm, Layout::Rows) => row.empty || row.trained_tokens() == 0,
                (TaskKind::CausalLm, Layout::Blocks) => row.empty,
            };
            if idle { drops.add(NOTHING_TO_LEARN, &row.key) } else { kept.push(row) }
        }
        Ok(())
    };
    let mut first = true;
    loop {
        let mut window = Vec::with_capacity(WINDOW.min(1024));
        while window.len() < WINDOW {
            let Some(record) = reader.next() else { break };
            let record = record?;
            if first {
                check_fields(pipeline, encoder, &reader, source, &record)?;
                first = false;
            }
            account.read += 1;
            if let Some((limit, column)) = limit {
                let count = taken.entry(record.label(column)?).or_default();
                *count += 1;
                if *count > limit {
                    account.limited += 1;
                    continue;
                }
            }
            window.push(record);
        }
        if window.is_empty() {
            break;
        }
        let records = pipeline.push(window)?;
        tokenise(records, &mut kept)?;
        progress(&DataProgress {
            split,
            file: source.name(),
            bytes_read: reader.bytes_read(),
            bytes_total,
            rows: kept.len() as u64,
        });
    }
    if account.read == 0 {
        return Err(reader.without_rows());
    }
    tokenise(pipeline.finish()?, &mut kept)?;
    account.added = pipeline.added();
    account.dropped = pipeline.dropped();
    account.dropped.extend(drops.report("tokenize"));
    Ok((account, kept))
}

/// Checks the first row's columns against what the stages read and what the task needs behind them.
fn check_fields(
    pipeline: &Pipeline<'_>,
    encoder: &Encoder<'_>,
    reader: &Rows,
    source: &Source,
    record: &Record,
) -> Result<()> {
    let columns: Vec<String> = record.fields.iter().map(|(name, _)| name.clone()).collect();
    let available = pipeline.check(&columns, &source.name())?;
    let place = if reader.header().is_some() { format!("{}:1", source.name()) } else { record.key.clone() };
    for (column, purpose) in encoder.columns() {
        check_columns(&available, &place, &column, &purpose)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
