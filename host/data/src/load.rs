//! One file to tokenised rows: made through the preprocessors and the tokenizer, or found in the cache.
//!
//! A file is read in windows, and each window goes all the way before the next is read: the text in
//! memory is one window's, whatever the size of the file. Windows are a fixed number of rows, so that nothing
//! depends on the number of workers.

use std::collections::HashMap;

use retune_roles::{Stage, TaskKind};

use crate::cache::{Account, Cache, Found};
use crate::labels::LabelSet;
use crate::parallel::ordered;
use crate::pipeline::Pipeline;
use crate::prepare::DataProgress;
use crate::record::Record;
use crate::report::{CacheUse, DataReport, SourceReport};
use crate::row::Row;
use crate::source::{Rows, digest};
use crate::spec::{DataSpec, Layout, Source, SplitName};
use crate::stage::Drops;
use crate::tokenize::{Encoder, NO_TOKENS, NOTHING_TO_LEARN};
use crate::{DataError, Result, Tokenization};
use retune_roles::digest::Digest;

/// Rows that are in memory as text at one time.
const WINDOW: usize = 4096;
/// Rows a thread tokenises at a time.
const CHUNK: usize = 128;
/// Changes whenever the same inputs would give other rows.
const CACHE_VERSION: &str = "2";
/// The version of the crate that cuts texts into tokens, which has no constant for it; a test holds it to Cargo.lock.
const TOKENIZERS_VERSION: &str = "0.23.2";

/// What is the same for all files of a run.
pub(crate) struct Loader<'a> {
    /// What is to be read.
    pub spec: &'a DataSpec,
    /// With labels, every row must have one of them.
    pub labels: Option<&'a LabelSet>,
    /// The preprocessors.
    pub stages: &'a [Stage],
    /// The tokenizer.
    pub tokenizer: &'a Tokenization,
}

impl Loader<'_> {
    /// Rows of one file, made or found, with their account added to the report.
    pub fn load(
        &self,
        split: SplitName,
        source: &Source,
        report: &mut DataReport,
        progress: &mut dyn FnMut(&DataProgress),
    ) -> Result<Vec<Row>> {
        let spec = self.spec;
        let (sha256, bytes) = digest(source)?;
        let mut pipeline = Pipeline::new(self.stages, spec.seed, spec.batch, spec.threads())?;
        let encoder = Encoder::new(spec, self.tokenizer, self.labels)?;
        let key = self.key(split, source, &sha256)?;
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
                let mut told = |bytes_read, rows: usize| {
                    let file = source.name();
                    progress(&DataProgress { split, file, bytes_read, bytes_total: bytes, rows: rows as u64 });
                };
                let (account, rows) = self.build(split, source, &mut pipeline, &encoder, &mut told)?;
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
        let count = rows.len() as u64;
        progress(&DataProgress { split, file: source.name(), bytes_read: bytes, bytes_total: bytes, rows: count });
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
            rows: count,
            dropped: account.dropped,
            cache: used,
        });
        Ok(rows)
    }

    /// Digest of everything that decides the rows of a file.
    fn key(&self, split: SplitName, source: &Source, sha256: &str) -> Result<String> {
        let spec = self.spec;
        let mut key = Digest::default()
            .part("version", CACHE_VERSION)
            .part("file", source.name())
            .part("bytes", sha256)
            .part("tokenizers", TOKENIZERS_VERSION)
            .part("tokenizer", self.tokenizer.digest());
        for stage in self.stages {
            key = key.part("stage", &stage.name).part("fingerprint", &stage.fingerprint);
        }
        let limit = spec.limit_per_label.filter(|_| split == SplitName::Train);
        // The length matters to rows only where they are cut one by one.
        let max_length = (spec.layout == Layout::Rows).then_some(spec.max_length);
        let spec = serde_json::json!({
            "format": source.resolved_format()?, "columns": spec.columns, "extra_columns": spec.extra_columns,
            "max_length": max_length, "task": spec.task, "layout": spec.layout, "seed": spec.seed,
            "batch": spec.batch, "limit_per_label": limit, "labels": self.labels.map(LabelSet::names),
            "indices": self.labels.map(LabelSet::takes_indices),
        });
        Ok(key.part("spec", spec.to_string()).finish())
    }

    /// Reads, preprocesses and tokenises a file.
    fn build(
        &self,
        split: SplitName,
        source: &Source,
        pipeline: &mut Pipeline<'_>,
        encoder: &Encoder<'_>,
        progress: &mut dyn FnMut(u64, usize),
    ) -> Result<(Account, Vec<Row>)> {
        let spec = self.spec;
        let mut reader = Rows::open(source)?;
        let mut limiter = Limiter::new(spec, split);
        let mut account = Account::default();
        let mut drops = Drops::default();
        let mut kept: Vec<Row> = Vec::new();
        let mut workers = vec![(); spec.threads()];
        let rows_a_window = WINDOW.max(spec.batch);
        loop {
            let mut window = Vec::new();
            while window.len() < rows_a_window {
                let Some(record) = reader.next() else { break };
                let record = record?;
                if account.read == 0 {
                    check_fields(pipeline, encoder, &reader, source, &record)?;
                }
                account.read += 1;
                if limiter.takes(&record)? {
                    window.push(record);
                } else {
                    account.limited += 1;
                }
            }
            if window.is_empty() {
                break;
            }
            let records = pipeline.push(window)?;
            self.tokenise(&records, encoder, &mut workers, &mut drops, &mut kept)?;
            progress(reader.bytes_read(), kept.len());
        }
        if account.read == 0 {
            return Err(reader.without_rows());
        }
        let rest = pipeline.finish()?;
        self.tokenise(&rest, encoder, &mut workers, &mut drops, &mut kept)?;
        account.added = pipeline.added();
        account.dropped = pipeline.dropped();
        account.dropped.extend(drops.report("tokenize"));
        Ok((account, kept))
    }

    /// Tokenises records on all threads, and leaves out the rows that teach nothing.
    fn tokenise(
        &self,
        records: &[Record],
        encoder: &Encoder<'_>,
        workers: &mut [()],
        drops: &mut Drops,
        kept: &mut Vec<Row>,
    ) -> Result<()> {
        let chunks: Vec<&[Record]> = records.chunks(CHUNK).collect();
        let rows = ordered(chunks, workers, |(), chunk: &[Record]| {
            chunk.iter().map(|record| encoder.row(record)).collect::<Result<Vec<Row>>>()
        })?;
        for row in rows.into_iter().flatten() {
            let (idle, reason) = match (self.spec.task, self.spec.layout) {
                (TaskKind::SequenceClassification, _) => (row.input_ids.is_empty(), NO_TOKENS),
                (TaskKind::CausalLm, Layout::Rows) => (row.empty || row.trained_tokens() == 0, NOTHING_TO_LEARN),
                // The first token of a text can be learnt where another text stands before it.
                (TaskKind::CausalLm, Layout::Blocks) => (row.empty, NOTHING_TO_LEARN),
            };
            if idle {
                drops.add(reason, &row.key);
            } else {
                kept.push(row);
            }
        }
        Ok(())
    }
}

/// Takes the first rows of each label of the training file.
struct Limiter<'a> {
    limit: Option<(usize, &'a str)>,
    taken: HashMap<String, usize>,
}

impl<'a> Limiter<'a> {
    fn new(spec: &'a DataSpec, split: SplitName) -> Self {
        let limit = spec.limit_per_label.filter(|_| split == SplitName::Train).zip(spec.columns.label.as_deref());
        Self { limit, taken: HashMap::new() }
    }

    fn takes(&mut self, record: &Record) -> Result<bool> {
        let Some((limit, column)) = self.limit else { return Ok(true) };
        let count = self.taken.entry(record.label(column)?).or_default();
        *count += 1;
        Ok(*count <= limit)
    }
}

/// Refuses a file that lacks a column, naming the nearest.
pub(crate) fn check_columns(available: &[String], place: &str, column: &str, purpose: &str) -> Result<()> {
    if available.iter().any(|name| name == column) {
        return Ok(());
    }
    let nearest = retune_roles::nearest::nearest(column, available.iter().map(String::as_str)).map(str::to_owned);
    Err(DataError::ColumnMissing {
        place: place.to_owned(),
        column: column.to_owned(),
        purpose: purpose.to_owned(),
        nearest,
        available: available.to_vec(),
    })
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
mod tests {
    use super::*;

    #[test]
    fn the_key_of_kept_rows_holds_the_version_of_tokenizers_that_is_compiled_in() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        let wanted = format!("name = \"tokenizers\"\nversion = \"{TOKENIZERS_VERSION}\"\n");
        assert!(lock.contains(&wanted), "write the version of Cargo.lock into TOKENIZERS_VERSION");
    }
}
