//! Arithmetic on shapes alone: what is checked before burn sees a tensor.

use std::cell::Cell;
use std::fmt;

use crate::Dtype;
use crate::error::{Result, ensure, fail};

/// The largest rank there is; burn's kernels are written for no more.
pub const MAX_RANK: usize = 8;

thread_local! {
    static LARGEST: Cell<u64> = const { Cell::new(DEFAULT_LARGEST) };
}

/// What a single tensor may take unless [`with_largest`] says otherwise: 64 GiB.
pub const DEFAULT_LARGEST: u64 = 64 << 30;

/// Runs `body` with a limit on the bytes of any one tensor made on this thread.
///
/// An allocation that fails ends the process, and a plugin can ask for any
/// shape, so every operation that can grow a tensor asks here first. Limits
/// nest; the tighter one holds.
pub fn with_largest<R>(bytes: u64, body: impl FnOnce() -> R) -> R {
    struct Restore(u64);
    impl Drop for Restore {
        fn drop(&mut self) {
            LARGEST.set(self.0);
        }
    }
    let _restore = Restore(LARGEST.get());
    LARGEST.set(bytes.min(LARGEST.get()));
    body()
}

/// A list that a plugin may have given, which has any length, for a message: its first elements, and how many there are.
pub(crate) struct Shown<'a, T>(pub &'a [T]);

impl<T: fmt::Debug> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..MAX_RANK) {
            Some(first) if self.0.len() > MAX_RANK => {
                let first: Vec<String> = first.iter().map(|size| format!("{size:?}")).collect();
                write!(f, "[{}, … {} in all]", first.join(", "), self.0.len())
            }
            _ => write!(f, "{:?}", self.0),
        }
    }
}

/// The number of elements, when rank and size are within the limits.
pub(crate) fn admit(op: &'static str, shape: &[usize], dtype: Dtype) -> Result<usize> {
    ensure!(shape.len() <= MAX_RANK, op, "shape {} has rank {}, the largest is {MAX_RANK}", Shown(shape), shape.len());
    // Of an empty tensor too: its sizes may come back in another order, and be multiplied up to the zero.
    let sizes = shape.iter().filter(|d| **d > 0).try_fold(1u64, |n, d| n.checked_mul(*d as u64));
    let bytes = sizes.and_then(|n| n.checked_mul(dtype.size()));
    let empty = shape.contains(&0);
    match bytes {
        Some(bytes) if empty || bytes <= LARGEST.get() => Ok(shape.iter().product()),
        _ => fail!(op, "a tensor of shape {shape:?} ({dtype}) is larger than the {} bytes allowed", LARGEST.get()),
    }
}

/// The dimension `dim` means in a tensor of `rank`; negative counts from the end.
pub(crate) fn dimension(op: &'static str, dim: i32, rank: usize) -> Result<usize> {
    let signed = rank as i64;
    let resolved = if dim < 0 { i64::from(dim) + signed } else { i64::from(dim) };
    ensure!(rank > 0, op, "a scalar has no dimension {dim}");
    ensure!((0..signed).contains(&resolved), op, "there is no dimension {dim} in a tensor of rank {rank}");
    Ok(resolved as usize)
}

/// The dimensions `dims` means, ascending; empty means all.
pub(crate) fn dimensions(op: &'static str, dims: &[i32], rank: usize) -> Result<Vec<usize>> {
    if dims.is_empty() {
        return Ok((0..rank).collect());
    }
    let mut resolved = dims.iter().map(|d| dimension(op, *d, rank)).collect::<Result<Vec<_>>>()?;
    resolved.sort_unstable();
    ensure!(resolved.windows(2).all(|w| w[0] != w[1]), op, "dimensions {} name one of them twice", Shown(dims));
    Ok(resolved)
}

/// The shape two shapes broadcast to, as NumPy does it.
pub(crate) fn broadcast(op: &'static str, lhs: &[usize], rhs: &[usize]) -> Result<Vec<usize>> {
    let rank = lhs.len().max(rhs.len());
    let at = |shape: &[usize], k: usize| (k + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|k| match (at(lhs, k), at(rhs, k)) {
            (a, b) if a == b || b == 1 => Ok(a),
            (1, b) => Ok(b),
            _ => fail!(op, "shapes {lhs:?} and {rhs:?} do not broadcast"),
        })
        .collect()
}

/// The shape a reshape means: at most one -1 stands for what is left.
pub(crate) fn reshaped(op: &'static str, from: &[usize], to: &[i32]) -> Result<Vec<usize>> {
    let numel: usize = from.iter().product();
    ensure!(to.len() <= MAX_RANK, op, "shape {} has rank {}, the largest is {MAX_RANK}", Shown(to), to.len());
    ensure!(to.iter().all(|d| *d >= -1), op, "shape {to:?} has a negative size other than -1");
    ensure!(to.iter().filter(|d| **d == -1).count() <= 1, op, "shape {to:?} leaves more than one size open");
    let known = to.iter().filter(|d| **d >= 0).try_fold(1usize, |n, d| n.checked_mul(*d as usize));
    let open = to.contains(&-1);
    match known {
        Some(0) if open => fail!(op, "shape {to:?} leaves a size open beside a zero"),
        Some(known) if open && numel.is_multiple_of(known) => {
            Ok(to.iter().map(|d| if *d < 0 { numel / known } else { *d as usize }).collect())
        }
        Some(known) if !open && known == numel => Ok(to.iter().map(|d| *d as usize).collect()),
        _ => fail!(op, "a tensor of shape {from:?} has {numel} elements and does not fit {to:?}"),
    }
}

/// What is left of `shape` when `axes` are reduced.
pub(crate) fn reduced(shape: &[usize], axes: &[usize], keep_dims: bool) -> Vec<usize> {
    let mut left = Vec::with_capacity(shape.len());
    for (axis, size) in shape.iter().enumerate() {
        match (axes.contains(&axis), keep_dims) {
            (false, _) => left.push(*size),
            (true, true) => left.push(1),
            (true, false) => {}
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Broadcasting written the slow way: every axis from the right.
    fn by_definition(lhs: &[usize], rhs: &[usize]) -> Option<Vec<usize>> {
        let (mut l, mut r) = (lhs.to_vec(), rhs.to_vec());
        while l.len() < r.len() {
            l.insert(0, 1);
        }
        while r.len() < l.len() {
            r.insert(0, 1);
        }
        l.iter().zip(&r).map(|(a, b)| if a == b || *a == 1 || *b == 1 { Some(*a.max(b)) } else { None }).collect()
    }

    proptest! {
        #[test]
        fn broadcasting_follows_the_rule_and_does_not_depend_on_the_order(
            lhs in prop::collection::vec(1usize..4, 0..5),
            rhs in prop::collection::vec(1usize..4, 0..5),
        ) {
            let forth = broadcast("add", &lhs, &rhs).ok();
            prop_assert_eq!(&forth, &by_definition(&lhs, &rhs));
            prop_assert_eq!(forth, broadcast("add", &rhs, &lhs).ok());
        }

        #[test]
        fn a_shape_with_one_size_left_open_is_filled_in(sizes in prop::collection::vec(1usize..5, 1..5), open in 0usize..5) {
            let open = open % sizes.len();
            let to: Vec<i32> = sizes.iter().enumerate().map(|(i, d)| if i == open { -1 } else { *d as i32 }).collect();
            let flat = [sizes.iter().product::<usize>()];
            prop_assert_eq!(reshaped("reshape", &flat, &to).unwrap(), sizes);
        }

        #[test]
        fn a_negative_dimension_is_the_one_from_the_end(rank in 1usize..9, dim in 0usize..9) {
            let dim = dim % rank;
            prop_assert_eq!(dimension("sum", dim as i32 - rank as i32, rank).unwrap(), dim);
        }
    }

    #[test]
    fn what_is_larger_than_the_limit_is_refused_before_it_is_made() {
        assert!(admit("full", &[1 << 20, 1 << 20], Dtype::Float32).is_err());
        assert!(admit("full", &[usize::MAX, 2], Dtype::Float32).is_err());
        assert_eq!(admit("full", &[8, 8], Dtype::Float32), Ok(64));
        with_largest(255, || assert!(admit("full", &[8, 8], Dtype::Float32).is_err()));
        with_largest(255, || with_largest(1 << 20, || assert!(admit("full", &[8, 8], Dtype::Float32).is_err())));
        assert_eq!(admit("full", &[8, 8], Dtype::Float32), Ok(64));
    }

    #[test]
    fn messages_name_what_was_given_and_what_is_there() {
        let said = |r: Result<Vec<usize>>| r.unwrap_err().to_string();
        assert_eq!(said(broadcast("add", &[2, 3], &[4])), "`add`: shapes [2, 3] and [4] do not broadcast");
        assert_eq!(
            said(reshaped("reshape", &[2, 3], &[4, -1])),
            "`reshape`: a tensor of shape [2, 3] has 6 elements and does not fit [4, -1]"
        );
        assert_eq!(said(dimensions("sum", &[2], 2)), "`sum`: there is no dimension 2 in a tensor of rank 2");
        assert_eq!(said(dimensions("sum", &[0, -2], 2)), "`sum`: dimensions [0, -2] name one of them twice");
    }
}
