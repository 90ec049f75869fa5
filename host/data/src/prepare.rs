//! The whole way: files to examples, and the account of it.
//!
//! Order of work: everything that can be refused without reading is refused; each
//! file is streamed through the preprocessors and the tokenizer into a file of rows (or that is found in the cache); the
//! label set is made of the labels of the training rows; the validation split is cut off; splits are compared. Nothing
//! is trained before all of it has held.

use retune_roles::{Rows as _, Stage, TaskKind, Tokenizer as _};

use crate::dataset::Dataset;
use crate::labels::LabelSet;
use crate::load::{Loader, nothing_to_learn};
use crate::masking::Masking;
use crate::overlap::{overlap, repeats};
use crate::progress::DataProgress;
use crate::report::DataReport;
use crate::rows_file::RowsFile;
use crate::selection::Selection;
use crate::several;
use crate::source::Rows;
use crate::spec::{DataSpec, Source, SplitName, Validation};
use crate::split::split;
use crate::summary::{split_report, warnings};
use crate::{DataError, Result, Tokenization};

/// What a run trains and is judged on.
#[derive(Debug)]
pub struct Prepared {
    /// What the model learns from.
    pub train: Dataset,
    /// What decides when to stop; empty when the spec asks for none.
    pub validation: Dataset,
    /// Evaluated once, at the end.
    pub test: Option<Dataset>,
    /// The label set in the order of the class indices, or the names of a regression's numbers; empty for a language model.
    pub labels: Vec<String>,
    /// The account of every row.
    pub report: DataReport,
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
    let classifies = spec.task.info().has_labels;
    let masking = masking(spec, tokenizer)?;
    let mut names = Names::given(spec)?;
    let mut report = report_of(tokenizer);
    let loader = Loader { spec, labelled: classifies, stages, tokenizer };
    let mut splits: Vec<(SplitName, Selection)> = Vec::new();
    for (name, source) in files {
        let file = loader.load(name, source, &mut report, progress)?;
        if name == SplitName::Train {
            names = names.or_found(spec, &file, &source.name())?;
        }
        let classes = names.classes(spec, &file)?;
        let rows = Selection::all(file, classes);
        match spec.validation {
            Validation::Split { fraction } if name == SplitName::Train => {
                let count = rows.len();
                let (train, validation) = split(rows, fraction, spec.seed);
                if validation.len() == 0 || train.len() == 0 {
                    return Err(DataError::TooFewToSplit { file: source.name(), rows: count, fraction });
                }
                splits.push((SplitName::Train, train));
                splits.push((SplitName::Validation, validation));
            }
            _ => splits.push((name, rows)),
        }
    }
    report.labels = names.names().to_vec();
    let mut made: Vec<(SplitName, Dataset)> = Vec::new();
    for (name, rows) in splits {
        made.push((name, dataset(spec, name, rows, masking.as_ref(), &format!("the {name} split"), &mut report)?));
    }
    for later in 1..made.len() {
        for earlier in 0..later {
            let ((split, rows), (with, others)) = (&made[later], &made[earlier]);
            report.overlaps.extend(overlap(*split, rows.rows(), *with, others.rows()));
        }
    }
    let repeated = made.first().map(|(_, train)| repeats(train.rows())).unwrap_or_default();
    let seams = made.iter().map(|(_, data)| seams(data)).sum();
    let more = warnings(&report, spec, &repeated, seams, tokenizer.eos().is_some());
    report.warnings.extend(more);
    let mut take = |name| made.iter().position(|(split, _)| *split == name).map(|at| made.swap_remove(at).1);
    let (train, validation, test) = (take(SplitName::Train), take(SplitName::Validation), take(SplitName::Test));
    // The training file was read first: without it there is an error above.
    let Some(train) = train else { return Err(DataError::EmptyFile { path: spec.train.path.clone() }) };
    let validation = validation.unwrap_or_else(|| Dataset::new(train.rows().none(), spec, SplitName::Validation).0);
    Ok(Prepared { train, validation, test, labels: report.labels.clone(), report })
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
) -> Result<(Dataset, DataReport)> {
    spec.check()?;
    let labelled = labels.is_some();
    let names = Names::of_model(spec, labels)?;
    let mut report = report_of(tokenizer);
    report.labels = names.names().to_vec();
    let loader = Loader { spec, labelled, stages, tokenizer };
    let masking = masking(spec, tokenizer)?;
    let file = loader.load(split, source, &mut report, progress)?;
    let classes = names.classes(spec, &file)?;
    let data = dataset(spec, split, Selection::all(file, classes), masking.as_ref(), &source.name(), &mut report)?;
    let more = warnings(&report, spec, &repeats(data.rows()), seams(&data), tokenizer.eos().is_some());
    report.warnings.extend(more);
    Ok((data, report))
}

/// What the task has names for.
enum Names {
    /// Nothing, or nothing yet.
    None,
    Labels(LabelSet),
    /// The numbers of a regression, and who has as many: `the model gives 2`.
    Outputs(Vec<String>, String),
}

impl Names {
    /// Those that the spec gives.
    fn given(spec: &DataSpec) -> Result<Self> {
        let columns = Some(&spec.columns.labels).filter(|columns| !columns.is_empty());
        match spec.task {
            TaskKind::Regression => Ok(Self::None),
            TaskKind::MultiLabelClassification => spec
                .labels
                .as_ref()
                .or(columns)
                .map_or(Ok(Self::None), |names| LabelSet::given(names).map(Self::Labels)),
            task => {
                let names = spec.labels.as_ref().filter(|_| task.info().has_labels);
                names.map_or(Ok(Self::None), |names| LabelSet::given(names).map(Self::Labels))
            }
        }
    }

    /// Those of a trained model.
    fn of_model(spec: &DataSpec, names: Option<&[String]>) -> Result<Self> {
        let Some(names) = names else { return Ok(Self::None) };
        if spec.task == TaskKind::Regression {
            return Ok(Self::Outputs(names.to_vec(), format!("the model gives {}", names.len())));
        }
        LabelSet::of_model(names, spec.labels.is_some()).map(Self::Labels)
    }

    /// These, or those that are found in the training rows, called `name`.
    fn or_found(self, spec: &DataSpec, file: &RowsFile, name: &str) -> Result<Self> {
        match (self, spec.task) {
            (Self::None, TaskKind::Regression) => {
                let names = several::outputs(&spec.columns, file)?;
                let because = format!("the rows of {name} have {}", names.len());
                Ok(Self::Outputs(names, because))
            }
            (Self::None, task) if task.info().has_labels => LabelSet::found(file.labels(), name).map(Self::Labels),
            (names, _) => Ok(names),
        }
    }

    /// The class of every label of a file, of which all rows must fit.
    fn classes(&self, spec: &DataSpec, file: &RowsFile) -> Result<Vec<u32>> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Labels(set) => set.classes(file.labels()),
            Self::Outputs(names, because) => {
                several::check_count(&spec.columns, file, names.len(), || because.clone())?;
                Ok(Vec::new())
            }
        }
    }

    fn names(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::Labels(set) => set.names(),
            Self::Outputs(names, _) => names,
        }
    }
}

fn report_of(tokenizer: &Tokenization) -> DataReport {
    DataReport {
        tokenizer_digest: tokenizer.digest().to_owned(),
        warnings: tokenizer.warnings().to_vec(),
        ..DataReport::default()
    }
}

/// The examples of one split, with their numbers added to the report; `what` names them in the error.
fn dataset(
    spec: &DataSpec,
    split: SplitName,
    rows: Selection,
    masking: Option<&Masking>,
    what: &str,
    report: &mut DataReport,
) -> Result<Dataset> {
    let (data, without_target) = Dataset::new(rows, spec, split);
    let data = if spec.label_all_tokens { data.labelling_all(&report.labels) } else { data };
    let data = match masking {
        Some(masking) => data.masked(masking.clone()),
        None => data,
    };
    if data.is_empty() {
        let rows = data.rows();
        let account = vec![nothing_to_learn((0..rows.len()).map(|row| rows.key(row)))];
        return Err(DataError::nothing_left(what.to_owned(), rows.len() as u64, account));
    }
    report.splits.push(split_report(split, &data, without_target, &report.labels));
    Ok(data)
}

/// How tokens are hidden, where they are.
fn masking(spec: &DataSpec, tokenizer: &Tokenization) -> Result<Option<Masking>> {
    let masks = spec.task == TaskKind::MaskedLm;
    masks.then(|| Masking::new(spec.mask, spec.seed, tokenizer)).transpose()
}

/// Rows whose prompt and completion share a token.
fn seams(data: &Dataset) -> u64 {
    data.rows().heads().filter(|head| head.seam).count() as u64
}

#[cfg(test)]
#[path = "prepare_tests/mod.rs"]
mod tests;
