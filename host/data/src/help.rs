//! What to do next about each thing that can be wrong.
//!
//! Apart from the messages themselves, because a message states and help advises: the command line prints the
//! first in bold and the second below it.

use crate::DataError;
use crate::naming::list;

impl DataError {
    /// What to do next, in a sentence or two.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::LabelColumnNotNamed => "say which column holds them: columns = { text = \"…\", label = \"…\" }".to_owned(),
            Self::MaxLengthTooLong { positions, .. } => format!("set data.max_length to {positions} or less"),
            Self::FileMissing { .. } => "paths in a recipe are relative to the recipe's own directory".to_owned(),
            Self::FormatUnknown { .. } => "rename the file, or give its `format`".to_owned(),
            Self::EmptyFile { .. } | Self::NoRows { .. } => "check that whatever wrote the file had finished".to_owned(),
            Self::InvalidUtf8 { place, .. } => {
                let file = place.rsplit_once(':').map_or(place.as_str(), |(file, _)| file);
                format!("convert the file first, for example: iconv -f WINDOWS-1252 -t UTF-8 {file}")
            }
            Self::RaggedRow { .. } => {
                "a comma, a quote or a line break inside a field needs \"quotes around the field\"".to_owned()
            }
            Self::OpenQuote { .. } | Self::QuoteInside { .. } => "close the quote, or write \"\" for a quote inside a quoted field".to_owned(),
            Self::NotAnObject { found: "an array", .. } => {
                "a .jsonl file has one object on each line; jq makes lines of an array: jq -c '.[]' FILE".to_owned()
            }
            Self::BadJson { .. } | Self::NotAnObject { .. } => {
                "a .jsonl file has one complete JSON object on each line".to_owned()
            }
            Self::ColumnsWithoutName { trailing: true, .. } => {
                "the line ends with separators: remove them there and from every row, or name the columns".to_owned()
            }
            Self::ColumnsWithoutName { .. } => "name every column of the header, or remove those without a name".to_owned(),
            Self::DuplicateColumn { .. } => "rename or remove one of the two".to_owned(),
            Self::ColumnMissing { available, .. } if separator(available).is_some() => {
                let separator = separator(available).unwrap_or_default();
                format!("its fields seem to be separated by {separator}: save it with commas, or with tabs as .tsv")
            }
            Self::ColumnMissing { available, purpose, .. } if purpose == "data.columns.text" && talks(available).is_some() => {
                format!("for conversations, write columns = {{ messages = \"{}\" }}", talks(available).unwrap_or_default())
            }
            Self::ColumnMissing { available, purpose, .. } => {
                format!("the columns are {}; set {purpose} to one of them", list(available))
            }
            Self::ValueMissing { purpose, .. } if purpose == "data.columns.label" => {
                "give every row a label, or remove the rows without one".to_owned()
            }
            Self::ValueMissing { .. } => "fill the value in, or remove the row".to_owned(),
            Self::LabelColumnsNotNamed { .. } => {
                "write columns = { label = \"…\" } for one column, or columns = { labels = [\"…\", \"…\"] } for a column each"
                    .to_owned()
            }
            Self::NumbersUneven { .. } => "give every row as many numbers, in the same order".to_owned(),
            Self::TagColumnNotNamed => "write columns = { tokens = \"…\", tags = \"…\" }".to_owned(),
            Self::TagsUnlikeWords { .. } => "give every word a tag; `O` is that of a word in no entity".to_owned(),
            Self::NoMaskToken { .. } => {
                "take a model that was made to fill masks, such as BERT or RoBERTa, with its own tokenizer; or name the token in \
                 tokenizer_config.json as mask_token"
                    .to_owned()
            }
            Self::NoWords { .. } => "leave whole_word out: single tokens are then chosen".to_owned(),
            Self::LabelUnknown { labels, .. } => {
                format!("the labels are {}; data.labels can name more than train has", list(labels))
            }
            Self::TooFewLabels { labels, .. } if labels.is_empty() => "name all labels, in the order of the classes".to_owned(),
            Self::TooFewLabels { labels, .. } => {
                format!("found: {}; check that data.columns.label names the right column", list(labels))
            }
            Self::StageField { available, .. } => {
                format!("the fields are {}; most preprocessors have a setting for the field they work on", list(available))
            }
            Self::Chat(error) => return error.help(),
            Self::Stage(failure) => return failure.details().help.clone(),
            Self::NothingLeft { dropped, .. } if dropped.is_empty() => "give a file with rows".to_owned(),
            Self::NothingLeft { dropped, .. } => {
                let (stage, keys) = dropped.first().map(|d| (d.stage.as_str(), d.keys.join(", "))).unwrap_or_default();
                format!("look at the first rows that {stage} dropped: {keys}")
            }
            Self::RowsUnwritable { directory: Some(_), .. } => {
                "make room there, or set RETUNE_CACHE to a folder on another disk".to_owned()
            }
            Self::RowsUnwritable { directory: None, .. } => {
                "make room there, or set TMPDIR to a folder on another disk".to_owned()
            }
            Self::TooFewToSplit { .. } => {
                "give a validation file, or leave data.validation out; of a plain text, every passage between blank lines is a row, \
                 and with format = \"lines\" every line is"
                    .to_owned()
            }
            Self::TokenizerMissing { others, .. } if others.is_empty() => {
                "give the directory of a Hugging Face checkpoint that has one".to_owned()
            }
            Self::TokenizerMissing { others, .. } => format!(
                "found {}; transformers makes a tokenizer.json of it: AutoTokenizer.from_pretrained(dir).save_pretrained(dir)",
                list(others)
            ),
            Self::TokenizerBroken { .. } => "fetch the file again, or save it anew from transformers".to_owned(),
            Self::TokenizerLacksToken { role, .. } => format!(
                "set {role} in tokenizer_config.json; tokenizer_class = \"PreTrainedTokenizerFast\" there takes tokenizer.json as it is"
            ),
            Self::TokenizerWithoutTemplate { .. } | Self::TokenizerOption { .. } => {
                "save it anew from transformers, which writes tokenizer.json whole: \
                 AutoTokenizer.from_pretrained(dir).save_pretrained(dir)"
                    .to_owned()
            }
            Self::TokenizerDoesNotFit { .. } => {
                "take the tokenizer and the model from the same checkpoint, or add embeddings to the model".to_owned()
            }
            Self::NoRoom { special, .. } => format!("set data.max_length to {} or more", special + 1),
            Self::NoFile { .. } => "a data file is read more than once: write what comes out of it to a file first".to_owned(),
            Self::TextTooLong { .. } => {
                "split the text into several rows, or leave the row out; a preprocessor can do either".to_owned()
            }
            Self::Spec { .. }
            | Self::FileUnreadable { .. }
            | Self::ValueKind { .. }
            | Self::LabelTwice { .. }
            | Self::Tokenize { .. } => return None,
        })
    }
}

/// The column that is named as those with conversations are.
fn talks(columns: &[String]) -> Option<&str> {
    columns.iter().map(String::as_str).find(|name| ["messages", "conversations"].contains(name))
}

/// What a header that came out as one column is probably separated by.
fn separator(columns: &[String]) -> Option<&'static str> {
    let [only] = columns else { return None };
    [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")]
        .into_iter()
        .find(|(c, _)| only.contains(*c))
        .map(|(_, name)| name)
}
