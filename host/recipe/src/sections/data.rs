//! The section `data`.

use std::path::{Path, PathBuf};

use retune_data::Format;

use retune_roles::TaskKind;

use super::super::reader::Section;
use super::super::value::kind;
use super::super::{At, Columns, Data, Validation, roles};
use super::{is_table, path, resolve};

/// The names of the formats.
pub(crate) const FORMATS: &[(&str, Format)] = &[
    ("csv", Format::Csv),
    ("tsv", Format::Tsv),
    ("jsonl", Format::Jsonl),
    ("text", Format::Text),
    ("lines", Format::Lines),
];

/// Extensions that say the format.
const EXTENSIONS: &[&str] = &["csv", "tsv", "jsonl", "ndjson", "txt", "text"];

pub(super) fn data(mut section: Section<'_, '_>, folder: &Path, task: Option<TaskKind>) -> Option<Data> {
    let format = section.choice("format", FORMATS).map(At::into_inner);
    let train = source(&mut section, "train", folder, format);
    if train.is_none() && section.node("train").is_none() {
        section.missing("train", "write train = \"file.csv\" (or .jsonl, .txt)");
    }
    let validation = validation(&mut section, folder, format);
    let test = source(&mut section, "test", folder, format);
    let columns = columns(&mut section, task);
    let extra_columns = section.strings("extra_columns", false).map(At::into_inner).unwrap_or_default();
    let labels = section.strings("labels", false);
    check_labels(&section, labels.as_ref(), task);
    let max_length = section.whole("max_length", 2).unwrap_or(At::default_of(128));
    let layout = section.choice("layout", &[("rows", false), ("blocks", true)]);
    if let Some(layout) = &layout
        && **layout
        && task == Some(TaskKind::SequenceClassification)
    {
        let span = layout.span().unwrap_or_default();
        section.problems().add(
            span,
            "`data.layout` cannot be `blocks` for sequence-classification",
            "a label belongs to a row",
            Some("write layout = \"rows\", or leave it out".to_owned()),
        );
    }
    let limit_per_label = section.whole("limit_per_label", 1);
    if let Some(limit) = &limit_per_label
        && columns.label.is_none()
    {
        let span = limit.span().unwrap_or_default();
        section.problems().add(
            span,
            "`data.limit_per_label` needs a label column",
            "no label to count by",
            Some("name one: columns = { label = \"…\" }, or remove this".to_owned()),
        );
    }
    if let (Some(label), None, Some(TaskKind::CausalLm)) = (&columns.label, &limit_per_label, task) {
        section.problems().add(
            label.span().unwrap_or_default(),
            "`data.columns.label` has no meaning for causal-lm without `limit_per_label`",
            "remove this",
            None,
        );
    }
    let workers = section.whole("workers", 1);
    let problems = section.problems();
    let preprocess = section
        .list("preprocess")
        .into_iter()
        .filter_map(|(path, node)| roles::role(path, node, folder, true, problems))
        .collect();
    section.close();
    // Documents are joined; a prompt and its completion stay a row of their own.
    let joined = task == Some(TaskKind::CausalLm) && columns.completion.is_none();
    Some(Data {
        train: train?,
        validation,
        test,
        format,
        columns,
        extra_columns,
        labels,
        max_length,
        blocks: layout.map_or(joined, At::into_inner),
        limit_per_label: limit_per_label.map(At::into_inner),
        workers: workers.map(At::into_inner),
        preprocess,
    })
}

fn source(
    section: &mut Section<'_, '_>,
    key: &'static str,
    folder: &Path,
    format: Option<Format>,
) -> Option<At<PathBuf>> {
    let file = path(section, key, folder)?;
    check_format(section, key, &file, format);
    Some(file)
}

fn check_format(section: &Section<'_, '_>, key: &str, file: &At<PathBuf>, format: Option<Format>) {
    let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if format.is_none() && !EXTENSIONS.contains(&extension.as_str()) {
        let span = file.span().unwrap_or_default();
        section.problems().add(
            span,
            format!("`{}` has no extension retune reads", section.full(key)),
            if extension.is_empty() { "no extension".to_owned() } else { format!("`.{extension}`") },
            Some("allowed: `.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.txt`; or say it: format = \"csv\"".to_owned()),
        );
    }
}

fn validation(section: &mut Section<'_, '_>, folder: &Path, format: Option<Format>) -> Validation {
    let Some(node) = section.node("validation") else { return Validation::None };
    let value = node.get_ref();
    if let Some(text) = value.as_str() {
        let file = resolve(section, "validation", At::new(text.to_owned(), node.span()), folder);
        check_format(section, "validation", &file, format);
        return Validation::File(file);
    }
    if !is_table(value) {
        section.problems().add(
            node.span(),
            format!("`data.validation` must be a file or a split, not {}", kind(value)),
            "expected a string or a table",
            Some("write validation = \"file.csv\" or validation = { split = 0.1 }".to_owned()),
        );
        return Validation::None;
    }
    let Some(mut table) = section.section("validation", "data.validation") else { return Validation::None };
    let split = table.number("split", "more than 0 and less than 1", |v| v > 0.0 && v < 1.0);
    if split.is_none() && table.node("split").is_none() {
        table.missing("split", "write validation = { split = 0.1 }");
    }
    table.close();
    split.map_or(Validation::None, |share| Validation::Split(*share))
}

fn columns(section: &mut Section<'_, '_>, task: Option<TaskKind>) -> Columns {
    let labelled = task != Some(TaskKind::CausalLm);
    let mut columns = Columns {
        text: At::default_of("text".to_owned()),
        text_pair: None,
        label: labelled.then(|| At::default_of("label".to_owned())),
        prompt: None,
        completion: None,
    };
    let Some(mut table) = section.section("columns", "data.columns") else { return columns };
    if let Some(text) = table.string("text") {
        columns.text = text;
    }
    columns.text_pair = table.string("text_pair");
    if let Some(label) = table.string("label") {
        columns.label = Some(label);
    }
    columns.prompt = table.string("prompt");
    columns.completion = table.string("completion");
    let wrong = |column: &Option<At<String>>, name: &str, task: &str| {
        if let Some(column) = column {
            table.problems().add(
                column.span().unwrap_or_default(),
                format!("`data.columns.{name}` has no meaning for {task}"),
                "remove this",
                None,
            );
        }
    };
    if labelled {
        wrong(&columns.prompt, "prompt", "sequence-classification");
        wrong(&columns.completion, "completion", "sequence-classification");
    } else {
        wrong(&columns.text_pair, "text_pair", "causal-lm");
        if let (Some(span), Some(_)) = (columns.text.span(), &columns.completion) {
            table.problems().add(
                span,
                "`data.columns.text` is not read where `completion` is given",
                "did you mean `prompt`?",
                Some("write columns = { prompt = \"…\", completion = \"…\" }".to_owned()),
            );
        }
        if let (Some(prompt), None) = (&columns.prompt, &columns.completion) {
            let span = prompt.span().unwrap_or_default();
            table.problems().add(
                span,
                "`data.columns.prompt` needs `completion` beside it",
                "nothing would be learnt",
                Some("write columns = { prompt = \"…\", completion = \"…\" }".to_owned()),
            );
        }
    }
    table.close();
    columns
}

fn check_labels(section: &Section<'_, '_>, labels: Option<&At<Vec<At<String>>>>, task: Option<TaskKind>) {
    let Some(labels) = labels else { return };
    let problems = section.problems();
    let span = labels.span().unwrap_or_default();
    if task == Some(TaskKind::CausalLm) {
        problems.add(span, "`data.labels` has no meaning for causal-lm", "remove this", None);
    } else if labels.len() < 2 {
        problems.add(
            span,
            "`data.labels` needs at least two labels",
            format!("{} here", labels.len()),
            Some("leave it out to take the labels found in `train`".to_owned()),
        );
    } else {
        for (i, label) in labels.iter().enumerate() {
            if labels[..i].iter().any(|other| other == label) {
                problems.add(
                    label.span().unwrap_or_default(),
                    format!("`data.labels` has `{}` twice", **label),
                    "the second one",
                    None,
                );
            }
        }
    }
}
