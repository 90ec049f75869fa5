//! A validation split, decided by the seed.
//!
//! Rows that belong together never part: rows of one line (a stage made them of one), rows of one text, and rows of one
//! group where the recipe names a column for it. Every group draws a rank from the seed and its keys, so the
//! split depends on neither the order of work nor the number of workers. With labels the split is stratified: each
//! label gives its share of rows, to the nearest row (largest remainders first), and keeps at least one group for
//! training; a group counts for the label of its first row, and a row of several labels for the rarest of them. Groups are taken whole, by rank, as long as the
//! share has room; when no group fits into it, the smallest is taken. Price: about 150 bytes a row while it is made.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::selection::Selection;
use crate::stage::sample_seed;

/// What a split has to know of a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SplitRow {
    /// Drawn from the seed and the row's key.
    pub rank: u64,
    /// The line it came from.
    pub line: Option<u64>,
    /// Digest of its text, unless the text is empty.
    pub text: Option<[u8; 16]>,
    /// Digest of the column that rows are grouped by.
    pub group: Option<[u8; 16]>,
    /// Its class.
    pub class: Option<u32>,
}

impl SplitRow {
    /// The rank of a row.
    pub fn rank(seed: u64, key: &str) -> u64 {
        sample_seed(seed, "validation split", key, 0)
    }
}

/// Splits `fraction` of the rows off: (train, validation). Validation is empty when there are too few rows.
pub(crate) fn split(rows: Selection, fraction: f64, seed: u64) -> (Selection, Selection) {
    let mut having: BTreeMap<u32, usize> = BTreeMap::new();
    for class in (0..rows.len()).filter_map(|row| rows.classes(row)).flatten() {
        *having.entry(class).or_default() += 1;
    }
    let rarest = |row| rows.classes(row)?.into_iter().min_by_key(|class| (having.get(class).copied(), *class));
    let facts: Vec<SplitRow> = rows
        .heads()
        .enumerate()
        .map(|(row, head)| SplitRow {
            rank: SplitRow::rank(seed, &rows.key(row)),
            line: head.line,
            text: (!head.empty).then_some(head.text),
            group: head.group,
            class: rows.class(&head).or_else(|| rarest(row)),
        })
        .collect();
    let held_out = choose(&facts, fraction, seed);
    let (validation, train) = rows.part(&held_out);
    (train, validation)
}

/// Which rows are held out for validation.
pub(crate) fn choose(rows: &[SplitRow], fraction: f64, seed: u64) -> Vec<bool> {
    let group_of = groups(rows);
    // By the first row of the group.
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for (row, &group) in rows.iter().zip(&group_of) {
        let group = groups.entry(group).or_insert(Group { rank: u64::MAX, class: row.class, rows: 0 });
        group.rank = group.rank.min(row.rank);
        group.rows += 1;
    }
    let mut strata: BTreeMap<Option<u32>, Vec<(u32, Group)>> = BTreeMap::new();
    for (first, group) in groups {
        strata.entry(group.class).or_default().push((first, group));
    }
    let sizes: Vec<(u64, usize)> = strata
        .iter()
        .map(|(class, groups)| {
            let name = class.map_or_else(|| "none".to_owned(), |class| class.to_string());
            let rows = groups.iter().map(|(_, group)| group.rows).sum();
            (sample_seed(seed, "validation split of a label", &name, 0), rows)
        })
        .collect();
    let mut taken = vec![false; rows.len()];
    for (groups, share) in strata.values_mut().zip(shares(&sizes, fraction)) {
        groups.sort_by_key(|(first, group)| (group.rank, *first));
        let (mut room, mut left) = (share, groups.len());
        for (first, group) in groups.iter() {
            if group.rows <= room && left > 1 {
                taken[*first as usize] = true;
                room -= group.rows;
                left -= 1;
            }
        }
    }
    if !taken.contains(&true) {
        let spare = strata.values().filter(|groups| groups.len() > 1).flatten();
        if let Some((first, _)) = spare.min_by_key(|(_, group)| (group.rows, group.rank)) {
            taken[*first as usize] = true;
        }
    }
    group_of.into_iter().map(|first| taken[first as usize]).collect()
}

#[derive(Clone, Copy)]
struct Group {
    rank: u64,
    class: Option<u32>,
    rows: usize,
}

/// For every row the first row of its group.
fn groups(rows: &[SplitRow]) -> Vec<u32> {
    let mut first: Vec<u32> = (0..rows.len() as u32).collect();
    join(&mut first, rows.iter().map(|row| row.line));
    join(&mut first, rows.iter().map(|row| row.text));
    join(&mut first, rows.iter().map(|row| row.group));
    for row in 0..first.len() {
        first[row] = root(&mut first, row as u32);
    }
    first
}

/// Joins the groups of rows that have the same value.
fn join<V: Eq + Hash>(first: &mut [u32], values: impl Iterator<Item = Option<V>>) {
    let mut seen: HashMap<V, u32> = HashMap::new();
    for (row, value) in values.enumerate() {
        let Some(value) = value else { continue };
        let row = row as u32;
        let other = *seen.entry(value).or_insert(row);
        let (a, b) = (root(first, row), root(first, other));
        // The earlier row stands for both.
        first[a.max(b) as usize] = a.min(b);
    }
}

fn root(first: &mut [u32], mut row: u32) -> u32 {
    while first[row as usize] != row {
        // Halves the path for the next time.
        first[row as usize] = first[first[row as usize] as usize];
        row = first[row as usize];
    }
    row
}

/// How many of each stratum (tie-breaker, size) go to validation.
fn shares(sizes: &[(u64, usize)], fraction: f64) -> Vec<usize> {
    let all: usize = sizes.iter().map(|(_, size)| size).sum();
    let most: usize = sizes.iter().map(|(_, size)| size.saturating_sub(1)).sum();
    let wanted = ((all as f64 * fraction).round() as usize).clamp(1, most.max(1)).min(most);
    let mut shares: Vec<usize> = sizes
        .iter()
        .map(|&(_, size)| ((size as f64 * fraction).floor() as usize).min(size.saturating_sub(1)))
        .collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    let remainder = |i: usize| (sizes[i].1 as f64 * fraction).fract();
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)).then_with(|| sizes[a].0.cmp(&sizes[b].0)));
    let mut given: usize = shares.iter().sum();
    while given < wanted {
        let before = given;
        for &i in &order {
            if given < wanted && shares[i] + 1 < sizes[i].1 {
                shares[i] += 1;
                given += 1;
            }
        }
        if given == before {
            break;
        }
    }
    shares
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
