//! A row as it can be looked at: its tokens as text, and what becomes of each.

use std::collections::HashSet;

use retune_data::Tokenization;
use retune_roles::{Example, Target};
use serde::Serialize;

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// File and line.
    pub key: String,
    /// The keys of the rows that were packed into it, one for each sequence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<String>,
    /// Its label, labels or numbers, where rows have some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The tokens of each of its sequences.
    pub sequences: Vec<Vec<ShownToken>>,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownToken {
    /// Its id.
    pub id: u32,
    /// What it adds to the text; nothing for one that only begins a character.
    pub text: String,
    /// The model learns to say it, or what is hidden behind it, or its tag.
    pub learnt: bool,
    /// It is no text.
    pub special: bool,
    /// What its word is labelled with, where words are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl Shown {
    /// `row` as `tokenizer` reads it; `packed` are the keys of what was packed into it, `labels` names its classes.
    pub fn new(row: &Example, packed: Vec<String>, labels: &[String], tokenizer: &Tokenization) -> Self {
        let special: HashSet<u32> = tokenizer.special_ids().collect();
        let label = match row.target {
            Target::Class(class) => labels.get(class as usize).cloned(),
            Target::Classes(ref classes) => {
                let names = classes.iter().filter_map(|class| labels.get(*class as usize)).cloned();
                Some(names.collect::<Vec<_>>().join(", "))
            }
            Target::Values(ref values) => {
                let named = labels.iter().zip(values).map(|(name, value)| format!("{name} = {value}"));
                Some(named.collect::<Vec<_>>().join(", "))
            }
            _ => None,
        };
        let labelled: Option<&[i32]> = if let Target::Labels(of_tokens) = &row.target { Some(of_tokens) } else { None };
        let sequences = row.sequences.iter().map(|sequence| {
            let learnt = |at: usize| match labelled {
                Some(labelled) => labelled.get(at).is_some_and(|label| *label >= 0),
                // The first token is predicted from nothing, and so never learnt.
                None => at > 0 && sequence.learnt.iter().any(|range| range.contains(&(at as u32))),
            };
            let tag = |at: usize| labels.get(usize::try_from(*labelled?.get(at)?).ok()?).cloned();
            let each = sequence.ids.iter().zip(tokenizer.pieces(&sequence.ids)).enumerate();
            each.map(|(at, (&id, text))| ShownToken {
                id,
                text,
                learnt: learnt(at),
                special: special.contains(&id),
                tag: tag(at),
            })
            .collect()
        });
        Self { key: row.key.clone(), rows: packed, label, sequences: sequences.collect() }
    }
}
