//! Tokenised rows to what the model trains on.
//!
//! An example of a causal language model says which of its tokens are learnt; a token of a prompt never is. The layout `blocks` joins rows in order and cuts every `max_length` tokens, as
//! Hugging Face's language-modelling example does; unlike there the last, short block is kept.

use std::ops::Range;

use retune_roles::{Example, Sequence, Target, TaskKind};

use crate::row::Row;
use crate::spec::Layout;

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
    example.sequences.iter().map(Sequence::learnt_tokens).sum()
}

fn classified(row: &Row) -> Example {
    Example {
        key: row.key.clone(),
        sequences: vec![sequence(row, Vec::new())],
        target: row.class.map_or(Target::None, Target::Class),
        extra: row.extra.clone(),
    }
}

fn document(row: &Row) -> Example {
    let completion = row.prompt_tokens..row.input_ids.len() as u32;
    Example {
        key: row.key.clone(),
        sequences: vec![sequence(row, if completion.is_empty() { Vec::new() } else { vec![completion] })],
        target: Target::None,
        extra: row.extra.clone(),
    }
}

fn sequence(row: &Row, learnt: Vec<Range<u32>>) -> Sequence {
    Sequence { ids: row.input_ids.clone(), segments: row.token_type_ids.clone(), learnt }
}

/// Runs of true.
fn ranges(learnt: &[bool]) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for (at, _) in learnt.iter().enumerate().filter(|(_, learnt)| **learnt) {
        let at = at as u32;
        match ranges.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

/// A block is named after the row it begins in and its own number: `book.txt:12@3`. It has the extra columns of
/// that row.
fn blocks(rows: &[Row], max_length: usize) -> Examples {
    let mut made = Examples::default();
    let mut number = 0;
    let mut block: Option<(&Row, Vec<u32>, Vec<bool>)> = None;
    let mut close = |first: &Row, ids: Vec<u32>, learnt: &[bool]| {
        let sequence = Sequence { ids, segments: Vec::new(), learnt: ranges(learnt) };
        if sequence.learnt_tokens() == 0 {
            made.without_target += 1;
        } else {
            made.examples.push(Example {
                key: format!("{}@{number}", first.key),
                sequences: vec![sequence],
                target: Target::None,
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
