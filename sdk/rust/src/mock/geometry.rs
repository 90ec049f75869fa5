//! Dimensions, strides and broadcasting.

use super::violation;

/// A dimension, counted from the front.
#[track_caller]
pub fn dim(operation: &str, dim: i32, rank: usize) -> usize {
    let from_front = if dim < 0 { dim + rank as i32 } else { dim };
    if from_front < 0 || from_front as usize >= rank {
        violation(operation, format_args!("dimension {dim} is outside a tensor of rank {rank}"));
    }
    from_front as usize
}

/// Dimensions in order, each once; none means all.
#[track_caller]
pub fn dims(operation: &str, given: &[i32], rank: usize) -> Vec<usize> {
    if given.is_empty() {
        return (0..rank).collect();
    }
    let mut all: Vec<usize> = given.iter().map(|d| dim(operation, *d, rank)).collect();
    all.sort_unstable();
    if all.windows(2).any(|pair| pair[0] == pair[1]) {
        violation(operation, format_args!("a dimension is named twice in {given:?}"));
    }
    all
}

/// Row-major strides.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// The shape two tensors meet in.
#[track_caller]
pub fn broadcast(operation: &str, a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    (0..rank)
        .map(|i| {
            let size = |shape: &[usize]| (i + shape.len()).checked_sub(rank).map_or(1, |j| shape[j]);
            match (size(a), size(b)) {
                (x, y) if x == y => x,
                (1, y) => y,
                (x, 1) => x,
                _ => violation(operation, format_args!("shapes {a:?} and {b:?} do not broadcast")),
            }
        })
        .collect()
}

/// Where each element of a tensor of shape `to` lies in one of shape `from`
/// that is broadcast to it.
pub fn offsets(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let lead = to.len() - from.len();
    let steps: Vec<usize> =
        (0..to.len()).map(|i| if i < lead || from[i - lead] == 1 { 0 } else { own[i - lead] }).collect();
    walk(to, &steps)
}

/// Offsets of all elements of a view of `shape` with `steps`, row by row.
pub fn walk(shape: &[usize], steps: &[usize]) -> Vec<usize> {
    let mut all = vec![0];
    for (size, step) in shape.iter().zip(steps) {
        all = all.iter().flat_map(|base| (0..*size).map(move |i| base + i * step)).collect();
    }
    all
}

/// A shape as (elements before, size of `dim`, elements after).
pub fn around(shape: &[usize], dim: usize) -> (usize, usize, usize) {
    (shape[..dim].iter().product(), shape[dim], shape[dim + 1..].iter().product())
}
