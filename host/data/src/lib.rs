//! Files to training examples: `files -> records -> preprocessors -> tokens -> examples`.
//!
//! [`prepare()`] walks the whole way for a run: it reads the splits, runs every row
//! through the preprocessors, tokenises, cuts a validation split off, and hands
//! over [`Prepared`]: rows, the label set and a [`DataReport`] that accounts
//! for every row. [`prepare_source`] does the same for one file, for evaluation
//! and prediction.
//!
//! Invariants:
//! - The same files, stages, tokenizer, spec and seed give the same examples in
//!   the same order, whatever the number of workers and the size of batches.
//! - Every row that was read is accounted for: kept, or dropped by a named stage
//!   for a named reason.
//! - A cached result is used only when the bytes of the file, every stage, the
//!   tokenizer and the spec are the same, and its checksum holds.
//! - Whatever is wrong with the data is an error that names the file, the line, what was
//!   expected and the nearest thing that exists; it comes before any training.
//!
//! ```no_run
//! use retune_data::{DataSpec, SplitName, TaskKind, Tokenization, Validation, prepare};
//! use retune_roles::Rows;
//!
//! # fn main() -> retune_data::Result<()> {
//! let tokenizer = Tokenization::open("models/all-MiniLM-L6-v2".as_ref())?;
//! let mut spec = DataSpec::new("banking77/train.csv", TaskKind::SequenceClassification);
//! spec.columns.label = Some("category".to_owned());
//! spec.validation = Validation::Split { fraction: 0.1 };
//! let data = prepare(&spec, &[], &tokenizer, &mut |_| {})?;
//! assert_eq!(data.train.get(0).key, "train.csv:2");
//! println!("{:#?}", data.report.split(SplitName::Validation));
//! # Ok(())
//! # }
//! ```
//!
//! Price: the tokenised rows of every split lie in files, 76 bytes a row and four a token, and are mapped; in memory
//! is a number for each row, and while splits are compared about 150 bytes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod blocks;
pub mod cache;
mod chat;
mod chat_check;
pub mod chat_error;
pub mod chat_spec;
mod control;
mod conversation;
pub mod dataset;
pub mod date;
mod delimited;
mod dropped;
pub mod encoding;
pub mod error;
mod help;
mod label_check;
pub mod labels;
mod lent;
mod lines;
mod load;
mod masking;
mod naming;
pub mod overlap;
mod packing;
mod parallel;
mod pipeline;
pub mod prepare;
mod progress;
pub mod prompt;
mod python;
pub mod record;
pub mod report;
mod room;
mod row;
mod rows_file;
mod selection;
mod several;
pub mod source;
mod speakers;
pub mod spec;
mod split;
pub mod stack;
mod stage;
mod summary;
mod tags;
mod template;
mod templates;
#[cfg(test)]
mod testing;
pub mod tokenization;
mod tokenize;
mod tokenizer_class;
mod tokenizer_file;
mod turns;

pub use cache::Cache;
pub use chat_check::TAKEN;
pub use chat_error::ChatError;
pub use chat_spec::{ChatSpec, Learn, TemplateRef};
pub use dataset::Dataset;
pub use date::Date;
pub use error::DataError;
pub use lent::LentTokenizer;
pub use prepare::{Prepared, prepare, prepare_source};
pub use progress::DataProgress;
pub use prompt::ChatPrompt;
pub use report::{
    CacheUse, DataReport, Dropped, LabelCount, LengthBin, Overlap, SourceReport, SplitReport, ValueSummary,
};
pub use retune_roles::TaskKind;
pub use spec::{Columns, DataSpec, Format, Layout, MaskSpec, Source, SplitName, Validation};
pub use tokenization::Tokenization;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, DataError>;
