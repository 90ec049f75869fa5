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
    /// Its label, where rows have one.
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
    /// The model learns to say it.
    pub learnt: bool,
    /// It is no text.
    pub special: bool,
}

impl Shown {
    /// `row` as `tokenizer` reads it; `packed` are the keys of what was packed into it, `labels` names its classes.
    pub fn new(row: &Example, packed: Vec<String>, labels: &[String], tokenizer: &Tokenization) -> Self {
        let special: HashSet<u32> = tokenizer.special_ids().collect();
        let label = match row.target {
            Target::Class(class) => labels.get(class as usize).cloned(),
            _ => None,
        };
        let sequences = row.sequences.iter().map(|sequence| {
            // The first token is predicted from nothing, and so never learnt.
            let learnt = |at: usize| at > 0 && sequence.learnt.iter().any(|range| range.contains(&(at as u32)));
            let each = sequence.ids.iter().zip(tokenizer.pieces(&sequence.ids)).enumerate();
            each.map(|(at, (&id, text))| ShownToken { id, text, learnt: learnt(at), special: special.contains(&id) })
                .collect()
        });
        Self { key: row.key.clone(), rows: packed, label, sequences: sequences.collect() }
    }
}
