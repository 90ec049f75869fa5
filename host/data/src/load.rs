//! One file to prepared rows: made through the preprocessors and the tokenizer, or found in the cache.
//!
//! Rows are read, preprocessed, tokenised and written as a stream: the text in memory is that of the chunks on their
//! way, whatever the size of the file. A chunk is a fixed number of rows, so that nothing depends on the number
//! of threads. Price: one thread reads and the calling one writes, beside the workers.

use std::collections::HashMap;
use std::sync::Arc;

use retune_roles::digest::Digest;
use retune_roles::{Stage, TaskKind};

use crate::cache::Cache;
use crate::chat_spec::TemplateRef;
use crate::dropped::Dropped;
use crate::pipeline::{Chunk, Pipeline};
use crate::progress::DataProgress;
use crate::record::Record;
use crate::report::{CacheUse, DataReport, SourceReport};
use crate::row::Row;
use crate::rows_file::{Account, Opened, RowsFile, RowsWriter};
use crate::source::{Rows, digest};
use crate::spec::{DataSpec, Layout, Source, SplitName};
use crate::stage::Drops;
use crate::templates;
use crate::tokenize::{CUT_AWAY, Encoder, NO_TOKENS, NOTHING_TO_LEARN, Reads};
use crate::{DataError, Result, Tokenization};

/// Rows of a file that go together; more where a preprocessor takes more in one call.
const CHUNK: usize = 256;
/// Rows after which progress is told.
const TOLD: u64 = 4096;
/// Changes whenever the same inputs would give other rows.
const CACHE_VERSION: &str = "6";
/// The version of the crate that cuts texts into tokens, which has no constant for it; a test holds it to Cargo.lock.
const TOKENIZERS_VERSION: &str = "0.23.2";
/// The version of the crate that renders chat templates, likewise.
const MINIJINJA_VERSION: &str = "3.1.0";

/// What is the same for all files of a run.
pub(crate) struct Loader<'a> {
    /// What is to be read.
    pub spec: &'a DataSpec,
    /// Whether rows have labels.
    pub labelled: bool,
    /// The preprocessors.
    pub stages: &'a [Stage],
    /// The tokenizer.
    pub tokenizer: &'a Tokenization,
}

/// What the last step makes of a chunk.
#[derive(Default)]
struct Tokenised {
    rows: Vec<Row>,
    /// Reason and key of rows that teach nothing.
    idle: Vec<(&'static str, String)>,
}

impl Loader<'_> {
    /// Rows of one file, made or found, with their account added to the report.
    pub fn load(
        &self,
        split: SplitName,
        source: &Source,
        report: &mut DataReport,
        progress: &mut dyn FnMut(&DataProgress),
    ) -> Result<Arc<RowsFile>> {
        let spec = self.spec;
        let (sha256, bytes) = digest(source)?;
        let pipeline = Pipeline::new(self.stages, spec.seed, spec.batch)?;
        let reads = self.reads(split);
        let encoder = Encoder::new(spec, self.tokenizer, reads)?;
        let key = self.key(split, source, &sha256, reads)?;
        let cache = match (&spec.cache_dir, pipeline.uncacheable()) {
            (Some(directory), None) => Ok(Cache::new(directory).with_limit(spec.cache_limit)),
            (Some(_), Some(stage)) => Err(format!("{stage} says that its results may not be kept")),
            (None, _) => Err("no cache directory is set".to_owned()),
        };
        let found = cache.as_ref().map_or(Opened::Absent, |cache| cache.open(&key));
        let damaged = matches!(found, Opened::Damaged);
        let (file, used) = match found {
            Opened::Whole(file) => (file, CacheUse::Hit { key }),
            Opened::Absent | Opened::Damaged => {
                let mut told = |bytes_read, rows| {
                    progress(&DataProgress { split, file: source.name(), bytes_read, bytes_total: bytes, rows });
                };
                let (out, cache) = writer(source, cache, report)?;
                let (account, out) = self.build(split, source, pipeline, &encoder, out, &mut told)?;
                let finished = match &cache {
                    Ok(cache) => cache.keep(&key, out, account),
                    Err(_) => out.finish(&key, account, None),
                };
                let file = finished.map_err(|e| DataError::rows_unwritable(spec.cache_dir.as_deref(), &e))?;
                let used = match cache {
                    Err(reason) => CacheUse::Off { reason },
                    Ok(_) if damaged => CacheUse::Rebuilt { key },
                    Ok(_) => CacheUse::Miss { key },
                };
                (file, used)
            }
        };
        let (account, count) = (file.account().clone(), file.len() as u64);
        progress(&DataProgress { split, file: source.name(), bytes_read: bytes, bytes_total: bytes, rows: count });
        if count == 0 {
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
        Ok(Arc::new(file))
    }

    fn reads(&self, split: SplitName) -> Reads {
        Reads { label: self.labelled, group: split == SplitName::Train && self.spec.group_by.is_some() }
    }

    /// Digest of everything that decides the rows of a file.
    fn key(&self, split: SplitName, source: &Source, sha256: &str, reads: Reads) -> Result<String> {
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
        let max_length = spec.layout.cuts_rows().then_some(spec.max_length);
        // Rows that will be packed are the same rows.
        let layout = if spec.layout.cuts_rows() { Layout::Rows } else { spec.layout };
        let group_by = spec.group_by.as_ref().filter(|_| reads.group);
        let spec = serde_json::json!({
            "format": source.resolved_format()?, "columns": spec.columns, "extra_columns": spec.extra_columns,
            "max_length": max_length, "task": spec.task, "layout": layout, "seed": spec.seed,
            "batch": spec.batch, "limit_per_label": limit, "labelled": reads.label, "group_by": group_by,
        });
        // The tokenizer's own templates are part of its digest.
        if let Some(chat) = &self.spec.chat {
            key = key.part("minijinja", MINIJINJA_VERSION);
            key = key.part("chat", serde_json::json!(chat).to_string());
            if let Some(TemplateRef::File(file)) = &chat.template {
                key = key.part("template", templates::read(file).map_err(|e| DataError::io(file, &e))?);
            }
        }
        Ok(key.part("spec", spec.to_string()).finish())
    }

    /// Reads, preprocesses and tokenises a file into `out`.
    fn build(
        &self,
        split: SplitName,
        source: &Source,
        mut pipeline: Pipeline<'_>,
        encoder: &Encoder<'_>,
        mut out: RowsWriter,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Account, RowsWriter)> {
        let spec = self.spec;
        let chunks =
            Chunks::open(spec, split, source, |reader, first| check_fields(&pipeline, encoder, reader, source, first))?;
        let mut account = Account::default();
        let mut drops = Drops::default();
        let mut told = 0;
        let end = |records: Vec<Record>| self.tokenise(&records, encoder);
        let mut chunks = Some(chunks);
        let next = move || Chunks::next(&mut chunks);
        pipeline.run(spec.threads(), next, &end, &mut |chunk| {
            account.read += chunk.read;
            account.limited += chunk.limited;
            let done = chunk.done.unwrap_or_default();
            done.idle.iter().for_each(|(reason, key)| drops.add(reason, key));
            for row in &done.rows {
                out.push(row).map_err(|e| DataError::rows_unwritable(spec.cache_dir.as_deref(), &e))?;
            }
            if account.read / TOLD > told || chunk.last {
                told = account.read / TOLD;
                progress(chunk.bytes, out.len() as u64);
            }
            Ok(())
        })?;
        account.added = pipeline.added();
        account.dropped = pipeline.dropped();
        account.dropped.extend(drops.report("tokenize"));
        Ok((account, out))
    }

    /// Tokenises records, and leaves out the rows that teach nothing.
    fn tokenise(&self, records: &[Record], encoder: &Encoder<'_>) -> Result<Tokenised> {
        let mut done = Tokenised::default();
        for record in records {
            let row = encoder.row(record)?;
            let cut = self.spec.chat.is_some() && row.truncated;
            let (idle, reason) = match (self.spec.task, self.spec.layout) {
                (TaskKind::SequenceClassification | TaskKind::MultiLabelClassification | TaskKind::Regression, _) => {
                    (row.input_ids.is_empty(), NO_TOKENS)
                }
                (TaskKind::TokenClassification, _) => (row.empty, NO_TOKENS),
                (TaskKind::MaskedLm, _) => (row.learnt.is_empty(), NO_TOKENS),
                (TaskKind::CausalLm, Layout::Rows | Layout::Packed) => {
                    (row.empty || row.trained_tokens() == 0, if cut { CUT_AWAY } else { NOTHING_TO_LEARN })
                }
                // The first token of a text can be learnt where another text stands before it.
                (TaskKind::CausalLm, Layout::Blocks) => (row.empty, NOTHING_TO_LEARN),
            };
            if idle {
                done.idle.push((reason, row.key));
            } else {
                done.rows.push(row);
            }
        }
        Ok(done)
    }
}

/// A file to write rows into: in the cache if there is one that can be written, else one that goes with the run.
fn writer(
    source: &Source,
    cache: std::result::Result<Cache, String>,
    report: &mut DataReport,
) -> Result<(RowsWriter, std::result::Result<Cache, String>)> {
    let reason = match cache {
        Err(reason) => reason,
        Ok(cache) => match RowsWriter::new(Some(cache.directory()), source.name()) {
            Ok(writer) => return Ok((writer, Ok(cache))),
            Err(e) => {
                let reason = format!("{} cannot be written: {e}", cache.directory().display());
                report.warnings.push(format!("prepared rows are not kept: {reason}"));
                reason
            }
        },
    };
    let writer = RowsWriter::new(None, source.name()).map_err(|e| DataError::rows_unwritable(None, &e))?;
    Ok((writer, Err(reason)))
}

/// A file in chunks of rows.
struct Chunks<'a> {
    reader: Rows,
    /// The row that was read to check its columns.
    first: Option<Record>,
    /// What is wrong behind the rows handed out so far.
    failed: Option<DataError>,
    limiter: Limiter<'a>,
    rows: usize,
}

impl<'a> Chunks<'a> {
    /// Opens a file and has its first row checked.
    fn open(
        spec: &'a DataSpec,
        split: SplitName,
        source: &Source,
        check: impl FnOnce(&Rows, &Record) -> Result<()>,
    ) -> Result<Self> {
        let mut reader = Rows::open(source)?;
        let first = reader.next().ok_or_else(|| reader.without_rows())??;
        check(&reader, &first)?;
        // Whole calls of the preprocessors.
        let rows = CHUNK.div_ceil(spec.batch) * spec.batch;
        Ok(Self { reader, first: Some(first), failed: None, limiter: Limiter::new(spec, split), rows })
    }

    /// The next chunk; the one after which nothing is left says that it is the last.
    fn next<R>(chunks: &mut Option<Self>) -> Option<Result<Chunk<R>>> {
        let result = chunks.as_mut()?.read();
        if result.as_ref().map_or(true, |chunk| chunk.last) {
            *chunks = None;
        }
        Some(result)
    }

    fn read<R>(&mut self) -> Result<Chunk<R>> {
        let mut chunk = Chunk::new(Vec::with_capacity(self.rows));
        while chunk.records.len() < self.rows {
            match self.record() {
                Ok(None) => {
                    chunk.last = true;
                    break;
                }
                Ok(Some((record, true))) => chunk.records.push(record),
                Ok(Some((_, false))) => chunk.limited += 1,
                Err(error) if chunk.read == 0 => return Err(error),
                // The rows before it come first, and with them what may be wrong with them.
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
            chunk.read += 1;
        }
        chunk.bytes = self.reader.bytes_read();
        Ok(chunk)
    }
}

impl Chunks<'_> {
    /// The next row, and whether it is taken.
    fn record(&mut self) -> Result<Option<(Record, bool)>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(record) = self.first.take().map(Ok).or_else(|| self.reader.next()) else { return Ok(None) };
        let record = record?;
        let taken = self.limiter.takes(&record)?;
        Ok(Some((record, taken)))
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
fn check_columns(available: &[String], place: &str, column: &str, purpose: &str) -> Result<()> {
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

/// The account of rows of which nothing can be made.
pub(crate) fn nothing_to_learn(keys: impl ExactSizeIterator<Item = String>) -> Dropped {
    Dropped {
        stage: "tokenize".to_owned(),
        reason: NOTHING_TO_LEARN.to_owned(),
        count: keys.len() as u64,
        keys: keys.take(5).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_kept_rows_holds_the_versions_that_are_compiled_in() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
        for (name, version) in [("tokenizers", TOKENIZERS_VERSION), ("minijinja", MINIJINJA_VERSION)] {
            let wanted = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&wanted), "write the version of {name} in Cargo.lock into its constant");
        }
    }
}
