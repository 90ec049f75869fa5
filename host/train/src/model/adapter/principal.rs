//! The part of a matrix with which an adapter starts that learns its principal directions (PiSSA, Meng et al. 2024).
//!
//! Of `W = U S Vᵀ` the `r` largest singular values give `A = sqrt(S / s) Vᵀ` and `B = U sqrt(S / s)`. They come from the
//! eigenvectors of `W Wᵀ` or `Wᵀ W`, whichever is smaller, in double precision; or from subspace iteration (Halko et al. 2011,
//! algorithm 4.4, eight vectors more than asked for). The vectors of a pair are turned so that the largest number of the one
//! on the smaller side is positive. A matrix is one thread's work, so that the bits do not depend on how many there are. Price:
//! two copies in double precision, and with all eigenvectors some `9 n³` operations for a smaller side of `n`, a fifth of a
//! second at 576; a round of subspace iteration is `4 r` operations for each number of the matrix.

use nalgebra::{DMatrix, SymmetricEigen};
use retune_tensor::random::standard_normal;

/// Vectors that subspace iteration finds more than it gives.
const OVERSAMPLING: usize = 8;

/// A matrix as it is stored, row after row.
pub(super) struct Stored<'a> {
    pub(super) values: &'a [f32],
    /// Rows, columns.
    pub(super) shape: [usize; 2],
    /// `[in, out]`.
    pub(super) transposed: bool,
}

/// How the directions are found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Search {
    /// By all eigenvectors.
    Exact,
    /// By so many rounds, from normal numbers of the stream that begins at `seed`.
    Rounds { rounds: u32, seed: u64 },
}

/// A `[r, in]` and B `[out, r]`, with `scale B A` the best approximation of rank `r`; `r` is at most either side.
pub(super) fn parts(matrix: &Stored, r: usize, scale: f64, search: Search) -> [Vec<f32>; 2] {
    let [rows, columns] = matrix.shape;
    // A list of rows is the transposed matrix as nalgebra has it, column after column.
    let turned = DMatrix::from_iterator(columns, rows, matrix.values.iter().map(|x| f64::from(*x)));
    // No fewer rows than columns; each column is a row of the stored matrix, or each row.
    let by_rows = columns >= rows;
    let tall = if by_rows { turned } else { turned.transpose() };
    let short = directions(&tall, r, search);
    let mut long = &tall * &short;
    let mut short = short;
    let lengths: Vec<f64> = long.column_iter().map(|column| column.norm()).collect();
    // What is rounding of a matrix of lower rank is no direction; it stays zero, as its singular value is.
    let least = lengths.iter().copied().fold(0.0, f64::max) * f64::EPSILON * tall.nrows() as f64;
    for (k, length) in lengths.into_iter().enumerate() {
        let largest = short.column(k).iter().copied().fold(0.0, |m: f64, x| if x.abs() > m.abs() { x } else { m });
        let factor = if length > least { (length / scale).sqrt() * largest.signum() } else { 0.0 };
        short.column_mut(k).scale_mut(factor);
        long.column_mut(k).scale_mut(if factor == 0.0 { 0.0 } else { factor / length });
    }
    let (input, output) = if by_rows != matrix.transposed { (long, short) } else { (short, long) };
    let floats = |x: &[f64]| x.iter().map(|x| *x as f32).collect();
    [floats(input.as_slice()), floats(output.transpose().as_slice())]
}

/// The `r` right singular vectors of `tall` with the largest singular values, as columns.
fn directions(tall: &DMatrix<f64>, r: usize, search: Search) -> DMatrix<f64> {
    let flat = tall.transpose();
    let Search::Rounds { rounds, seed } = search else { return largest(&flat * tall, r) };
    let width = (r + OVERSAMPLING).min(tall.ncols());
    let start = (0..tall.nrows() * width).map(|index| standard_normal(seed, index as u64));
    let start = DMatrix::from_iterator(tall.nrows(), width, start);
    let mut basis = (&flat * start).qr().q();
    for _ in 0..rounds {
        let long = (tall * basis).qr().q();
        basis = (&flat * long).qr().q();
    }
    let seen = tall * &basis;
    basis * largest(seen.transpose() * seen, r)
}

/// The `r` eigenvectors of a symmetric matrix with the largest eigenvalues, as columns.
fn largest(matrix: DMatrix<f64>, r: usize) -> DMatrix<f64> {
    let all = SymmetricEigen::new(matrix);
    let mut order: Vec<usize> = (0..all.eigenvalues.len()).collect();
    order.sort_by(|a, b| all.eigenvalues[*b].total_cmp(&all.eigenvalues[*a]));
    let columns: Vec<_> = order.into_iter().take(r).map(|k| all.eigenvectors.column(k)).collect();
    DMatrix::from_columns(&columns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `U S Vᵀ` `[8, 4]` of known parts: columns of Hadamard matrices over the roots of their sizes, and values.
    fn known() -> (Vec<f32>, [f64; 4]) {
        let singular = [8.0, 4.0, 2.0, 0.5];
        let sign = |row: usize, column: usize| if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let value = |row: usize, column: usize| -> f64 {
            (0..4).map(|k| singular[k] * sign(row, k) * sign(column, k) / (8f64.sqrt() * 2.0)).sum()
        };
        ((0..8).flat_map(|row| (0..4).map(move |column| value(row, column) as f32)).collect(), singular)
    }

    fn turned(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
        (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
    }

    /// `scale B A`, and the length of A's rows times that of B's columns, by scale.
    fn product([a, b]: &[Vec<f32>; 2], [out, input]: [usize; 2], r: usize, scale: f64) -> (Vec<f64>, Vec<f64>) {
        let a = DMatrix::from_row_iterator(r, input, a.iter().map(|x| f64::from(*x)));
        let b = DMatrix::from_row_iterator(out, r, b.iter().map(|x| f64::from(*x)));
        let singular = (0..r).map(|k| scale * a.row(k).norm() * b.column(k).norm()).collect();
        ((b * a * scale).transpose().as_slice().to_vec(), singular)
    }

    #[test]
    fn parts_are_the_singular_values_and_vectors_however_the_matrix_is_stored() {
        let (values, singular) = known();
        let other = turned(&values, [8, 4]);
        for search in [Search::Exact, Search::Rounds { rounds: 4, seed: 3 }] {
            for (values, shape, transposed) in
                [(&values, [8, 4], false), (&other, [4, 8], true), (&other, [4, 8], false), (&values, [8, 4], true)]
            {
                let [out, input] = if transposed { [shape[1], shape[0]] } else { shape };
                let parts = parts(&Stored { values, shape, transposed }, 2, 0.5, search);
                let (product, found) = product(&parts, [out, input], 2, 0.5);
                assert!(found.iter().zip(&singular).all(|(a, b)| (a / b - 1.0).abs() < 1e-6), "{found:?}");
                let whole = if transposed { turned(values, shape) } else { values.clone() };
                let left: f64 = whole.iter().zip(&product).map(|(w, p)| (f64::from(*w) - p).powi(2)).sum();
                assert!(
                    (left - (2f64.powi(2) + 0.5f64.powi(2))).abs() < 1e-5,
                    "what is left has the other values: {left}"
                );
            }
        }
    }

    #[test]
    fn what_a_matrix_of_lower_rank_lacks_stays_zero() {
        let values: Vec<f32> = (0..12).map(|i| [1.0, -2.0, 0.5][i % 3] * (1 + i / 3) as f32).collect();
        for search in [Search::Exact, Search::Rounds { rounds: 2, seed: 3 }] {
            let parts = parts(&Stored { values: &values, shape: [4, 3], transposed: false }, 3, 1.0, search);
            assert!(parts.iter().flatten().all(|x| x.is_finite()));
            assert!(parts[0][3..].iter().all(|x| *x == 0.0), "{:?}", parts[0]);
            let (product, _) = product(&parts, [4, 3], 3, 1.0);
            assert!(values.iter().zip(product).all(|(w, p)| (f64::from(*w) - p).abs() < 1e-5));
        }
        let zeros = parts(&Stored { values: &[0.0; 6], shape: [2, 3], transposed: false }, 2, 1.0, Search::Exact);
        assert!(zeros.iter().flatten().all(|x| *x == 0.0));
    }

    #[test]
    fn subspace_iteration_nears_the_singular_values_with_each_round() {
        // Values that fall slowly, as those of weights do.
        let size = 96;
        let draw = |seed: u64| {
            DMatrix::from_iterator(size, size, (0..size * size).map(|i| standard_normal(seed, i as u64))).qr().q()
        };
        let singular: Vec<f64> = (0..size).map(|k| 1.0 / (1.0 + k as f64).sqrt()).collect();
        let matrix = draw(1) * DMatrix::from_diagonal(&singular.clone().into()) * draw(2).transpose();
        let values: Vec<f32> = matrix.transpose().as_slice().iter().map(|x| *x as f32).collect();
        let off = |search| {
            let parts = parts(&Stored { values: &values, shape: [size, size], transposed: false }, 8, 2.0, search);
            let (_, found) = product(&parts, [size, size], 8, 2.0);
            found.iter().zip(&singular).map(|(a, b)| (a / b - 1.0).abs()).fold(0.0, f64::max)
        };
        let [one, four, sixteen] = [1, 4, 16].map(|rounds| off(Search::Rounds { rounds, seed: 5 }));
        assert!(one > 10.0 * four && four > 10.0 * sixteen && sixteen < 1e-4, "{one}, {four}, {sixteen}");
        assert!(off(Search::Exact) < 1e-6);
    }
}
