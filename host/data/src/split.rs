//! A validation split, decided by the seed.
//!
//! Every row draws a rank from the seed and its key, so the split depends on neither the order of work nor the
//! number of workers. Rows of one origin (a row that a stage made into several) stay together.
//! With labels the split is stratified: each label gives its share, to the nearest row
//! (largest remainders first), and keeps at least one row for training. Both parts keep file order.

use std::collections::BTreeMap;

use crate::row::Row;
use crate::stage::sample_seed;

/// Splits `fraction` of the rows off: (train, validation). Validation is empty when there are too few rows.
pub fn split(rows: Vec<Row>, fraction: f64, seed: u64) -> (Vec<Row>, Vec<Row>) {
    let groups = group(&rows, seed);
    let mut strata: BTreeMap<Option<u32>, Vec<&Group>> = BTreeMap::new();
    for group in &groups {
        strata.entry(group.class).or_default().push(group);
    }
    let sizes: Vec<(u64, usize)> = strata
        .iter()
        .map(|(class, groups)| {
            let name = class.map_or_else(|| "none".to_owned(), |class| class.to_string());
            (sample_seed(seed, "validation split of a label", &name, 0), groups.len())
        })
        .collect();
    let mut validation = vec![false; rows.len()];
    for (groups, share) in strata.values_mut().zip(shares(&sizes, fraction)) {
        groups.sort_by_key(|group| (group.rank, group.rows[0]));
        for group in groups.iter().take(share) {
            for &row in &group.rows {
                validation[row] = true;
            }
        }
    }
    let (mut train, mut held) = (Vec::with_capacity(rows.len()), Vec::new());
    for (row, held_out) in rows.into_iter().zip(validation) {
        if held_out { held.push(row) } else { train.push(row) }
    }
    (train, held)
}

struct Group {
    rank: u64,
    class: Option<u32>,
    rows: Vec<usize>,
}

fn group(rows: &[Row], seed: u64) -> Vec<Group> {
    let mut by_line: BTreeMap<u64, usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        if let Some(&at) = row.line.and_then(|line| by_line.get(&line)) {
            groups[at].rows.push(index);
            continue;
        }
        if let Some(line) = row.line {
            by_line.insert(line, groups.len());
        }
        let rank = sample_seed(seed, "validation split", &row.key, 0);
        groups.push(Group { rank, class: row.class, rows: vec![index] });
    }
    groups
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
pub(crate) mod tests;
