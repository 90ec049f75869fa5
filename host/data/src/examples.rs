//! Tokenised rows to what the model trains on.
//!
//! Labels of a causal language model are shifted here, once: `labels[t]` is the token that `logits[t]` should
//! predict, `input_ids[t + 1]`, and the last has none ([`IGNORE_INDEX`]). A token of a prompt is never a
//! target. The layout `blocks` joins rows in order and cuts every `max_length` tokens, as
//! Hugging Face's language-modelling example does; unlike there the last, short block is kept.

use retune_roles::{Example, IGNORE_INDEX, Target};

use crate::row::Row;
use crate::spec::{Layout, TaskKind};

/// Examples of one split, and how many blocks of it teach nothing.
#[derive(Debug, Default, PartialEq)]
pub struct Examples {
    /// What the model trains on, in the order of the rows.
    pub examples: Vec<Example>,
    /// Blocks left out because no token of them is a target.
    pub without_target: u64,
}

/// Makes examples of rows.
pub fn examples(rows: &[Row], task: TaskKind, layout: Layout, max_length: usize) -> Examples {
    match (task, layout) {
        (TaskKind::SequenceClassification, _) => {
            Examples { examples: rows.iter().map(classified).collect(), without_target: 0 }
        }
        (TaskKind::CausalLm, Layout::Rows) => {
            Examples { examples: rows.iter().map(document).collect(), without_target: 0 }
        }
        (TaskKind::CausalLm, Layout::Blocks) => blocks(rows, max_length),
    }
}

/// Tokens of an example that are a target of the loss.
pub fn targets(example: &Example) -> usize {
    match &example.target {
        Target::Tokens(labels) => labels.iter().filter(|&&label| label != IGNORE_INDEX).count(),
        Target::Class(_) | Target::None => 0,
    }
}

fn classified(row: &Row) -> Example {
    Example {
        key: row.key.clone(),
        input_ids: row.input_ids.clone(),
        token_type_ids: row.token_type_ids.clone(),
        target: row.class.map_or(Target::None, Target::Class),
        extra: row.extra.clone(),
    }
}

fn document(row: &Row) -> Example {
    let learnt: Vec<bool> = (0..row.input_ids.len()).map(|t| t >= row.prompt_tokens as usize).collect();
    Example {
        key: row.key.clone(),
        input_ids: row.input_ids.clone(),
        token_type_ids: row.token_type_ids.clone(),
        target: Target::Tokens(shifted(&row.input_ids, &learnt)),
        extra: row.extra.clone(),
    }
}

/// The next token of each, where it is learnt.
fn shifted(ids: &[u32], learnt: &[bool]) -> Vec<i64> {
    (0..ids.len())
        .map(|t| match (ids.get(t + 1), learnt.get(t + 1)) {
            (Some(&next), Some(true)) => i64::from(next),
            _ => IGNORE_INDEX,
        })
        .collect()
}

/// A block is named after the row it begins in and its own number: `book.txt:12@3`. It has the extra columns of
/// that row.
fn blocks(rows: &[Row], max_length: usize) -> Examples {
    let mut made = Examples::default();
    let mut number = 0;
    let mut block: Option<(&Row, Vec<u32>, Vec<bool>)> = None;
    let mut close = |first: &Row, ids: Vec<u32>, learnt: &[bool]| {
        let labels = shifted(&ids, learnt);
        if labels.iter().all(|&label| label == IGNORE_INDEX) {
            made.without_target += 1;
        } else {
            made.examples.push(Example {
                key: format!("{}@{number}", first.key),
                input_ids: ids,
                token_type_ids: Vec::new(),
                target: Target::Tokens(labels),
                extra: first.extra.clone(),
            });
        }
        number += 1;
    };
    for row in rows {
        for (t, &id) in row.input_ids.iter().enumerate() {
            let (_, ids, learnt) = block.get_or_insert_with(|| (row, Vec::new(), Vec::new()));
            ids.push(id);
            learnt.push(t >= row.prompt_tokens as usize);
            if ids.len() == max_length
                && let Some((first, ids, learnt)) = block.take()
            {
                close(first, ids, &learnt);
            }
        }
    }
    if let Some((first, ids, learnt)) = block {
        close(first, ids, &learnt);
    }
    made
}

#[cfg(test)]
#[path = "examples_tests.rs"]
mod tests;
