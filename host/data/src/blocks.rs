//! Rows joined into one stream of tokens and cut every `max_length`, as Hugging Face's language-modelling
//! example does; unlike there the last, short block is kept.
//!
//! A block is known by where it begins, so that nothing is copied before it is read. Price: 16 bytes a block.

use std::ops::Range;

use retune_roles::{Example, Sequence, Target, TaskKind};

use crate::selection::Selection;

/// One block: a stretch of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The row of the selection it begins in.
    row: u32,
    /// The token of that row.
    token: u32,
    /// Its place among all blocks, those without a target included.
    number: u32,
    /// How long it is.
    pub tokens: u32,
    /// Tokens that are a target of the loss.
    pub targets: u32,
}

/// The blocks that teach something, and how many do not.
pub(crate) fn blocks(rows: &Selection, max_length: usize, task: TaskKind) -> (Vec<Block>, u64) {
    let max_length = max_length as u32;
    let (mut all, mut without_target, mut number) = (Vec::new(), 0, 0);
    let mut open: Option<Block> = None;
    let mut close = |block: Block| {
        if block.targets == 0 { without_target += 1 } else { all.push(block) }
    };
    for (row, head) in rows.heads().enumerate() {
        let (file, at) = rows.locate(row);
        let learnt = file.learnt(at);
        let mut token = 0;
        while token < head.tokens {
            let block = open.get_or_insert_with(|| {
                number += 1;
                Block { row: row as u32, token, number: number - 1, tokens: 0, targets: 0 }
            });
            let taken = (head.tokens - token).min(max_length - block.tokens);
            // The first token of a block stands behind nothing, and is no target; from both sides it can be found.
            let begins = block.tokens == 0 && task == TaskKind::CausalLm;
            let (first, end) = (if begins { token + 1 } else { token }, token + taken);
            block.targets +=
                learnt.iter().map(|range| range.end.min(end).saturating_sub(range.start.max(first))).sum::<u32>();
            block.tokens += taken;
            token += taken;
            if block.tokens == max_length
                && let Some(block) = open.take()
            {
                close(block);
            }
        }
    }
    open.into_iter().for_each(close);
    (all, without_target)
}

/// A block as an example. It is named after the row it begins in and its own number: `book.txt:12@3`, and has the
/// extra columns of that row.
pub(crate) fn example(rows: &Selection, block: &Block) -> Example {
    let (mut row, mut token) = (block.row as usize, block.token);
    let mut ids: Vec<u32> = Vec::with_capacity(block.tokens as usize);
    let mut learnt: Vec<Range<u32>> = Vec::new();
    while (ids.len() as u32) < block.tokens && row < rows.len() {
        let (file, number) = rows.locate(row);
        let at = ids.len() as u32;
        ids.extend(file.ids(number, token, block.tokens - at));
        let end = ids.len() as u32;
        for range in file.learnt(number) {
            add(&mut learnt, at + range.start.saturating_sub(token)..(at + range.end.saturating_sub(token)).min(end));
        }
        (row, token) = (row + 1, 0);
    }
    let (file, number) = rows.locate(block.row as usize);
    Example {
        key: format!("{}@{}", file.key(number), block.number),
        sequences: vec![Sequence { ids, segments: Vec::new(), learnt }],
        target: Target::None,
        extra: file.extra(number),
    }
}

/// Adds a range behind the others, joined to the last where they touch.
fn add(ranges: &mut Vec<Range<u32>>, range: Range<u32>) {
    match ranges.last_mut() {
        _ if range.is_empty() => {}
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}
