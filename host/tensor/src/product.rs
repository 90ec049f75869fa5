//! Matrix products of slices on the CPU, by the `gemm` crate, which burn's CPU backend uses too.
//!
//! A product is cut into pieces of a fixed size, one thread each: a thread that is done takes the next
//! piece, and nobody waits for another to pack an operand. Where it is cut depends on the sizes alone, so the number of
//! threads changes no bit. Of a left side that is read by rows, columns of the result are cut, so that each piece reads its
//! own columns of the right side; of one that is read by columns (`aᵀ b`, the gradient of a weight), rows are cut.
//!
//! Price: the side that is not cut is packed once for every piece.
//!
//! A few rows by a matrix that is stored by columns go another way, see `few_rows`.

use std::marker::PhantomData;
use std::ops::Range;

use burn::tensor::bf16;
use rayon::prelude::*;

use crate::few_rows::{self, MOST_ROWS};

/// Multiplications of a piece, at least: some 40 microseconds of work.
const PIECE: usize = 1 << 21;

/// Columns and rows of a piece, at least and in multiples of: what the product's inner loop takes at a time.
const COLUMNS: usize = 96;
const ROWS: usize = 192;

/// A matrix in a slice: element `(i, j)` lies at `i * row + j * column`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// From element `(0, 0)` on.
    pub values: &'a [f32],
    /// The distance of two rows.
    pub row: usize,
    /// The distance of two columns.
    pub column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `width`, one after the other.
    pub fn rows(values: &'a [f32], width: usize) -> Self {
        Self { values, row: width, column: 1 }
    }

    /// Rows for columns.
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// From row `row` on.
    pub fn from_row(self, row: usize) -> Self {
        Self { values: self.values.get(row * self.row..).unwrap_or(&[]), ..self }
    }

    /// From column `column` on.
    pub fn from_column(self, column: usize) -> Self {
        Self { values: self.values.get(column * self.column..).unwrap_or(&[]), ..self }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = rows.saturating_sub(1) * self.row + columns.saturating_sub(1) * self.column;
        rows * columns == 0 || last < self.values.len()
    }
}

/// Some columns of a result `[rows, width]`, or some rows; nobody else writes them.
#[derive(Debug)]
pub struct Panel<'a> {
    /// Of the first element.
    data: *mut f32,
    rows: usize,
    stride: usize,
    columns: Range<usize>,
    result: PhantomData<&'a mut [f32]>,
}

// SAFETY: a panel is a part of a slice that only it refers to.
unsafe impl Send for Panel<'_> {}

impl<'a> Panel<'a> {
    /// # Safety
    /// `data` has room for `[rows, stride]`, these columns of which nobody else refers to for `'a`; a panel of memory that holds
    /// no values yet is multiplied into, without `add`, before its lines are looked at.
    unsafe fn at(data: *mut f32, rows: usize, stride: usize, columns: Range<usize>) -> Self {
        // SAFETY: a column of the result.
        Self { data: unsafe { data.add(columns.start) }, rows, stride, columns, result: PhantomData }
    }

    /// Which columns of the result these are.
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// Its part of every row.
    pub fn lines(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let (data, stride, width) = (self.data, self.stride, self.columns.len());
        // SAFETY: the panel's own part of each row, one at a time of each.
        (0..self.rows).map(move |row| unsafe { std::slice::from_raw_parts_mut(data.add(row * stride), width) })
    }

    /// These columns of `a b`, `[rows, inner]` and `[inner, width]`; with `add`, added to what they hold.
    ///
    /// # Panics
    /// When a side is too short.
    pub fn multiply(&mut self, inner: usize, a: Matrix<'_>, b: Matrix<'_>, add: bool) {
        let (m, n) = (self.rows, self.columns.len());
        let b = b.from_column(self.columns.start);
        assert!(a.holds(m, inner) && b.holds(inner, n), "a product of [{m}, {inner}] and [{inner}, {n}]");
        // SAFETY: `a` and `b` hold what the sizes and strides lead to; the panel is writable and disjoint from them.
        unsafe { one_thread(self.data, self.stride, [m, inner, n], a, b, add) };
    }
}

/// The columns of each piece of a result `width` wide, whose every column is `work` multiplications.
fn cuts(width: usize, work: usize) -> impl Iterator<Item = Range<usize>> {
    let columns = step(work, COLUMNS);
    (0..width).step_by(columns).map(move |first| first..(first + columns).min(width))
}

/// Multiplications of a column of `inner` by `rows` rows; of few rows what it takes to read the column instead.
fn column_work(rows: usize, inner: usize) -> usize {
    rows.max(MOST_ROWS) * inner
}

/// How many columns or rows, each `work` multiplications, make a piece.
fn step(work: usize, least: usize) -> usize {
    PIECE.div_ceil(work.max(1)).next_multiple_of(least)
}

/// # Safety
/// `to` has room for m rows, `stride` apart, of n floats; `a` and `b` hold `[m, k]` and `[k, n]` and do not overlap them.
unsafe fn one_thread(to: *mut f32, stride: usize, [m, k, n]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    if m * n == 0 || (k == 0 && add) {
        return;
    }
    if k == 0 {
        // SAFETY: the caller's.
        (0..m).for_each(|row| unsafe { std::ptr::write_bytes(to.add(row * stride), 0, n) });
        return;
    }
    if m <= MOST_ROWS && a.column == 1 && b.row == 1 {
        let sizes = few_rows::Sizes { m, k, n, row: a.row, column: b.column, stride, add };
        // SAFETY: the caller's.
        return unsafe { few_rows::multiply(to, a.values.as_ptr(), b.values.as_ptr(), sizes) };
    }
    // SAFETY: the caller's.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            to,
            1,
            stride as isize,
            add,
            a.values.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.values.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `a b`: `[m, k]` and `[k, n]` give `[m, n]` in rows.
///
/// # Panics
/// When a slice is too short.
pub fn product(sizes: [usize; 3], a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    product_then(sizes, a, b, |_| ())
}

/// [`product`], and what `finish` makes of each piece while it is in the cache.
///
/// # Panics
/// When a slice is too short.
pub fn product_then(
    [m, k, n]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    finish: impl Fn(&mut Panel<'_>) + Send + Sync,
) -> Vec<f32> {
    // Every element is written: memory that is cleared first is walked over twice.
    let mut out = Vec::with_capacity(m * n);
    // SAFETY: the memory is this function's, and each panel is written before `finish` sees it.
    let panels = unsafe { pieces(out.as_mut_ptr(), [m, k, n], a) };
    each(panels, |(row, mut panel)| {
        panel.multiply(k, a.from_row(row), b, false);
        finish(&mut panel);
    });
    // SAFETY: the panels make up the whole, and each was written.
    unsafe { out.set_len(m * n) };
    out
}

/// `a wᵀ` of a few rows with a weight `[n, k]` that is kept in bfloat16: `[m, n]` in rows, the bits that the same weight in float32
/// gives. `None` of more rows, for which it is better widened first.
///
/// # Panics
/// When a slice is too short.
pub fn few_rows_of_narrow([m, k, n]: [usize; 3], a: Matrix<'_>, weight: &[bf16]) -> Option<Vec<f32>> {
    if m > MOST_ROWS || a.column != 1 {
        return None;
    }
    assert!(a.holds(m, k) && weight.len() >= n * k, "a product of [{m}, {k}] and [{k}, {n}]");
    let mut out = vec![0.0; m * n];
    // SAFETY: `out` is this function's.
    let panels = cuts(n, column_work(m, k)).map(|columns| unsafe { Panel::at(out.as_mut_ptr(), m, n, columns) });
    each(panels.collect(), |panel| {
        let sizes = few_rows::Sizes { m, k, n: panel.columns.len(), row: a.row, column: k, stride: n, add: false };
        // SAFETY: the slices hold what the sizes lead to; the panel's columns are its own.
        unsafe {
            few_rows::multiply(panel.data, a.values.as_ptr(), weight[panel.columns.start * k..].as_ptr(), sizes);
        }
    });
    Some(out)
}

/// Makes `N` results `[m, n]` of products of inner size `k` together: a piece is the same columns of each.
///
/// # Safety
/// `work` writes every element of each panel, as [`Panel::multiply`] without `add` does, and reads none before.
pub unsafe fn together<const N: usize>(
    [m, k, n]: [usize; 3],
    work: impl Fn([Panel<'_>; N]) + Send + Sync,
) -> [Vec<f32>; N] {
    // Every element is written: memory that is cleared first is walked over twice.
    let mut results = [(); N].map(|()| Vec::with_capacity(m * n));
    let memory = results.each_mut().map(Vec::as_mut_ptr);
    // SAFETY: the memory is this function's, and the columns are disjoint; the caller's `work` writes before it reads.
    let pieces = cuts(n, N * column_work(m, k))
        .map(|columns| memory.map(|data| unsafe { Panel::at(data, m, n, columns.clone()) }));
    each(pieces.collect(), work);
    // SAFETY: the panels make up the whole, and each was written.
    results.iter_mut().for_each(|result| unsafe { result.set_len(m * n) });
    results
}

/// `to = a b`, or `to += a b`: `[m, k]` and `[k, n]` give `to`, `[m, n]` in rows.
///
/// # Panics
/// When a slice is too short.
pub fn multiply(to: &mut [f32], [m, k, n]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert!(to.len() >= m * n, "a result of [{m}, {n}] in {} floats", to.len());
    // SAFETY: `to` is borrowed until the panels are gone.
    let panels = unsafe { pieces(to.as_mut_ptr(), [m, k, n], a) };
    each(panels, |(row, mut panel)| panel.multiply(k, a.from_row(row), b, add));
}

/// The pieces of a product, each with its first row.
///
/// # Safety
/// That of [`Panel::at`], for all of `[m, n]`.
unsafe fn pieces<'a>(to: *mut f32, [m, k, n]: [usize; 3], a: Matrix<'_>) -> Vec<(usize, Panel<'a>)> {
    if a.row != 1 || a.column == 1 {
        // SAFETY: the caller's.
        return cuts(n, column_work(m, k)).map(|columns| (0, unsafe { Panel::at(to, m, n, columns) })).collect();
    }
    let rows = step(n * k, ROWS);
    let piece = |first: usize| {
        // SAFETY: rows of the result.
        (first, unsafe { Panel::at(to.add(first * n), rows.min(m - first), n, 0..n) })
    };
    (0..m).step_by(rows).map(piece).collect()
}

/// Each piece once; several at a time when there are several.
fn each<T: Send>(pieces: Vec<T>, work: impl Fn(T) + Send + Sync) {
    if pieces.len() == 1 {
        pieces.into_iter().for_each(work);
    } else {
        pieces.into_par_iter().with_max_len(1).for_each(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_written_or_added_with_either_side_transposed() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let b = [1.0, -1.0, 0.5, 2.0, 0.0, 1.0];
        let mut to = [9.0; 4];
        // [[1 2 3] [4 5 6]] and [[1 -1] [0.5 2] [0 1]].
        multiply(&mut to, [2, 3, 2], Matrix::rows(&a, 3), Matrix::rows(&b, 2), false);
        assert_eq!(to, [2.0, 6.0, 6.5, 12.0]);
        // Read across: [[1 3] [2 4]] and [[1 2] [-1 0]].
        multiply(&mut to, [2, 2, 2], Matrix::rows(&a, 2).transposed(), Matrix::rows(&b, 3).transposed(), true);
        assert_eq!(to, [2.0 - 2.0, 6.0 + 2.0, 6.5 - 2.0, 12.0 + 4.0]);
    }

    #[test]
    fn results_made_together_are_those_made_apart() {
        let (m, k, n) = (70, 300, 500);
        let (a, b) = (wave(m * k, 0.7), [wave(k * n, 0.3), wave(k * n, 0.4)]);
        let left = Matrix::rows(&a, k);
        let [first, second] = b.each_ref().map(|b| Matrix::rows(b, n));
        // SAFETY: both panels are multiplied into.
        let made = unsafe {
            together([m, k, n], |[mut one, mut other]| {
                one.multiply(k, left, first, false);
                other.multiply(k, left, second, false);
                other.lines().zip(one.lines()).for_each(|(other, one)| crate::wide::accumulate(other, one));
            })
        };
        let [one, mut other] = [first, second].map(|b| product([m, k, n], left, b));
        crate::wide::accumulate(&mut other, &one);
        for (made, apart) in made.iter().zip([one, other]) {
            assert!(made.iter().zip(&apart).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    #[should_panic(expected = "a product of [2, 3]")]
    fn a_slice_that_is_too_short_is_refused() {
        multiply(&mut [0.0; 4], [2, 3, 2], Matrix::rows(&[0.0; 5], 3), Matrix::rows(&[0.0; 6], 2), false);
    }

    #[test]
    fn a_product_without_an_inner_size_is_zero_and_adds_nothing() {
        assert_eq!(product([2, 0, 3], Matrix::rows(&[], 0), Matrix::rows(&[], 3)), [0.0; 6]);
        let mut to = [1.0; 6];
        multiply(&mut to, [2, 0, 3], Matrix::rows(&[], 0), Matrix::rows(&[], 3), true);
        assert_eq!(to, [1.0; 6]);
    }

    fn wave(length: usize, step: f32) -> Vec<f32> {
        (0..length).map(|i| (i as f32 * step).sin()).collect()
    }

    /// Sizes that are cut into several pieces, the last of them smaller.
    #[test]
    fn pieces_make_up_the_whole_product_for_any_number_of_threads() {
        let (m, k, n) = (500, 90, 340);
        let (a, b) = (wave(m * k, 0.7), wave(k * n, 0.3));
        let across: Vec<f32> = (0..k * m).map(|i| a[i % m * k + i / m]).collect();
        for left in [Matrix::rows(&a, k), Matrix::rows(&across, m).transposed()] {
            // SAFETY: nothing is written, and `pieces` only says where they lie.
            let count = unsafe { pieces([0.0; 1].as_mut_ptr(), [m, k, n], left) }.len();
            assert!(count > 2, "{count} pieces");
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    product_then([m, k, n], left, Matrix::rows(&b, n), |panel| {
                        let first = panel.columns().start as f32;
                        panel.lines().for_each(|line| line[0] += first);
                    })
                })
            };
            let found = run(1);
            for (i, j) in [(0, 0), (499, 339), (191, 96), (192, 95), (250, 192), (499, 0)] {
                let expected: f64 = (0..k).map(|x| f64::from(a[i * k + x]) * f64::from(b[x * n + j])).sum();
                let marked = if left.row == 1 { 0 } else { j / 96 * 96 };
                let expected = expected + if left.row != 1 && j == marked { marked as f64 } else { 0.0 };
                assert!((f64::from(found[i * n + j]) - expected).abs() < 1e-4, "{i}, {j}");
            }
            assert!([2, 3].into_iter().all(|threads| run(threads) == found));
        }
    }
}
