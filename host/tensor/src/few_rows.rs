//! Products of a few rows with a matrix that is stored by columns: `x Wᵀ` for one token, or a few.
//!
//! Such a product reads each weight once and does little with it, so its time is that of reading. A general matrix product packs what it
//! reads first; here columns are read where they lie, each by all rows while it is in a register's reach. Sums go over eight
//! fixed lanes, so a row's result does not depend on the other rows, nor on where columns are cut. Weights that are kept in
//! bfloat16 are widened in registers: half the reading, the same bits.

use burn::tensor::bf16;

/// Rows for which this is the faster way.
pub(crate) const MOST_ROWS: usize = 16;

const LANES: usize = 8;

/// A number of a weight.
pub(crate) trait Number: Copy {
    /// The same in float32.
    fn widen(self) -> f32;
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

/// Rows and columns of a product: `a` has `m` rows of `k` floats, `row` apart; `b` `n` columns of `k` floats, `column` apart.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// The distance of two rows of the result.
    pub(crate) stride: usize,
    /// The result is added to what is there.
    pub(crate) add: bool,
}

/// `to = a b`.
///
/// # Safety
/// The pointers are good for what the sizes lead to, and `to` does not overlap the others.
pub(crate) unsafe fn multiply<N: Number>(to: *mut f32, a: *const f32, b: *const N, sizes: Sizes) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        unsafe fn fast<N: Number>(to: *mut f32, a: *const f32, b: *const N, sizes: Sizes) {
            // SAFETY: the caller's.
            unsafe { all::<N, true>(to, a, b, sizes) }
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: the processor has been asked; the rest is the caller's.
            return unsafe { fast(to, a, b, sizes) };
        }
    }
    // SAFETY: the caller's.
    unsafe { all::<N, false>(to, a, b, sizes) }
}

/// # Safety
/// That of [`multiply`].
#[inline(always)]
unsafe fn all<N: Number, const FMA: bool>(to: *mut f32, a: *const f32, b: *const N, sizes: Sizes) {
    let mut column = 0;
    while column < sizes.n {
        let wide = if sizes.n - column >= 4 { 4 } else { 1 };
        let mut row = 0;
        while row < sizes.m {
            // SAFETY: rows below m and columns below n.
            unsafe {
                let (to, a, b) =
                    (to.add(row * sizes.stride + column), a.add(row * sizes.row), b.add(column * sizes.column));
                row += match (sizes.m - row, wide) {
                    (2.., 4) => tile::<N, FMA, 2, 4>(to, a, b, sizes),
                    (_, 4) => tile::<N, FMA, 1, 4>(to, a, b, sizes),
                    (4.., _) => tile::<N, FMA, 4, 1>(to, a, b, sizes),
                    _ => tile::<N, FMA, 1, 1>(to, a, b, sizes),
                };
            }
        }
        column += wide;
    }
}

/// `R` rows by `C` columns; gives `R`.
///
/// # Safety
/// That of [`multiply`], for so many rows and columns.
#[inline(always)]
unsafe fn tile<N: Number, const FMA: bool, const R: usize, const C: usize>(
    to: *mut f32,
    a: *const f32,
    b: *const N,
    sizes: Sizes,
) -> usize {
    let mut sums = [[[0.0f32; LANES]; C]; R];
    let whole = sizes.k / LANES * LANES;
    for step in (0..whole).step_by(LANES) {
        // SAFETY: the caller's.
        let rows: [[f32; LANES]; R] = std::array::from_fn(|row| unsafe { *a.add(row * sizes.row + step).cast() });
        let columns: [[f32; LANES]; C] = std::array::from_fn(|at| {
            // SAFETY: the caller's.
            let values: [N; LANES] = unsafe { *b.add(at * sizes.column + step).cast() };
            values.map(N::widen)
        });
        for (row, sums) in rows.iter().zip(&mut sums) {
            for (column, sum) in columns.iter().zip(sums) {
                for ((sum, x), y) in sum.iter_mut().zip(row).zip(column) {
                    *sum = if FMA { x.mul_add(*y, *sum) } else { x * y + *sum };
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        for (column, sum) in sums.iter().enumerate() {
            let mut total = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
            // SAFETY: the caller's.
            unsafe {
                for step in whole..sizes.k {
                    total += *a.add(row * sizes.row + step) * (*b.add(column * sizes.column + step)).widen();
                }
                let to = to.add(row * sizes.stride + column);
                *to = if sizes.add { *to + total } else { total };
            }
        }
    }
    R
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_in_bfloat16_give_the_bits_of_the_same_in_float32() {
        let narrow: Vec<bf16> = (0..30 * 21).map(|i| bf16::from_f32((i as f32 * 0.3).sin())).collect();
        let wide: Vec<f32> = narrow.iter().map(|x| x.to_f32()).collect();
        let a: Vec<f32> = (0..3 * 21).map(|i| (i as f32 * 0.7).cos()).collect();
        let sizes = Sizes { m: 3, k: 21, n: 30, row: 21, column: 21, stride: 30, add: false };
        let (mut one, mut other) = (vec![0.0; 90], vec![0.0; 90]);
        // SAFETY: the slices are as long as the sizes say.
        unsafe {
            multiply(one.as_mut_ptr(), a.as_ptr(), wide.as_ptr(), sizes);
            multiply(other.as_mut_ptr(), a.as_ptr(), narrow.as_ptr(), sizes);
        }
        assert_eq!(one, other);
    }

    #[test]
    fn a_product_of_few_rows_is_the_sum_of_products_for_any_sizes() {
        let wave = |length: usize, step: f32| (0..length).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
        for (m, k, n) in [(1, 64, 40), (1, 5, 3), (2, 19, 7), (3, 16, 9), (7, 33, 6), (16, 8, 4), (4, 1, 1)] {
            let (a, b) = (wave(m * (k + 3), 0.7), wave(n * (k + 2), 0.3));
            for add in [false, true] {
                let mut to = vec![1.0f32; m * (n + 1)];
                let sizes = Sizes { m, k, n, row: k + 3, column: k + 2, stride: n + 1, add };
                // SAFETY: the slices are as long as the sizes say.
                unsafe { multiply(to.as_mut_ptr(), a.as_ptr(), b.as_ptr(), sizes) };
                for i in 0..m {
                    for j in 0..n {
                        let sum = |x: usize| f64::from(a[i * (k + 3) + x]) * f64::from(b[j * (k + 2) + x]);
                        let expected = (0..k).map(sum).sum::<f64>() + if add { 1.0 } else { 0.0 };
                        let found = to[i * (n + 1) + j];
                        assert!((f64::from(found) - expected).abs() < 1e-5, "{m} {k} {n}: ({i}, {j})");
                    }
                    assert_eq!(to[i * (n + 1) + n], 1.0, "what lies between rows is not touched");
                }
            }
        }
    }
}
