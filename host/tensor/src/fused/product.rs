//! The matrix product of slices, by the crate that burn's CPU backend uses too.

/// A matrix in a slice: element `(i, j)` lies at `i * row + j * column`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) row: usize,
    pub(super) column: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `width`, one after the other.
    pub(super) fn rows(values: &'a [f32], width: usize) -> Self {
        Self { values, row: width, column: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = rows.saturating_sub(1) * self.row + columns.saturating_sub(1) * self.column;
        rows * columns == 0 || last < self.values.len()
    }
}

/// Multiplications from which on a product is worth all threads: 192 x 192 x 192.
const WIDE: usize = 192 * 192 * 192;

/// `to = a b`, or `to += a b`: `[m, k]` and `[k, n]` give `to`, `[m, n]` in rows.
///
/// # Panics
/// When a slice is too short.
pub(super) fn multiply(to: &mut [f32], [m, k, n]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, add: bool) {
    assert!(to.len() >= m * n && a.holds(m, k) && b.holds(k, n), "a product of [{m}, {k}] and [{k}, {n}]");
    if m * n == 0 {
        return;
    }
    if k == 0 {
        if !add {
            to.fill(0.0);
        }
        return;
    }
    let threads = if m * n * k < WIDE { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(0) };
    // SAFETY: the lengths are checked above: every element that the sizes and strides lead to lies in its slice.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            to.as_mut_ptr(),
            1,
            n as isize,
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
            threads,
        );
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
    #[should_panic(expected = "a product of [2, 3]")]
    fn a_slice_that_is_too_short_is_refused() {
        multiply(&mut [0.0; 4], [2, 3, 2], Matrix::rows(&[0.0; 5], 3), Matrix::rows(&[0.0; 6], 2), false);
    }
}
