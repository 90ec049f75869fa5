//! The small products of attention, summed in registers.
//!
//! A block of scores is a product of few rows that stay in the cache; what a general matrix product does to be fast
//! with large operands would cost more than it. The right side is read in panels of [`LANES`] adjacent columns.

/// Columns that a product computes together: two registers of eight.
pub(super) const LANES: usize = 16;

/// Rows of adjacent floats, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

impl<'a> Matrix<'a> {
    pub(super) fn rows_from(self, row: usize) -> Matrix<'a> {
        Matrix { data: &self.data[row * self.stride..], stride: self.stride }
    }
}

/// `[rows, width]` to panels of `LANES` rows, `[panel][width][LANES]`; the last row is repeated to a whole panel.
#[inline(always)]
pub(super) fn turn(from: Matrix, rows: usize, width: usize, to: &mut Vec<f32>) {
    to.resize(rows.next_multiple_of(LANES) * width, 0.0);
    for (panel, to) in to.chunks_exact_mut(LANES * width).enumerate() {
        let rows: [&[f32]; LANES] = std::array::from_fn(|lane| {
            let row = (panel * LANES + lane).min(rows - 1);
            &from.data[row * from.stride..][..width]
        });
        for (column, to) in to.chunks_exact_mut(LANES).enumerate() {
            for (to, row) in to.iter_mut().zip(rows) {
                *to = row[column];
            }
        }
    }
}

/// The left side of a product, `[m, k]`, in any layout.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) data: *const f32,
    pub(super) row: usize,
    pub(super) column: usize,
}

/// The right side, `[k, n]`: `LANES` adjacent columns at a time, `panel` apart.
#[derive(Clone, Copy)]
pub(super) struct Right {
    pub(super) data: *const f32,
    pub(super) row: usize,
    pub(super) panel: usize,
}

/// `to = left right`, or `to += left right` when `ADD`; `sizes`: m, k, n.
///
/// # Safety
/// The pointers must be good for matrices of these sizes and strides, and `to` must not overlap the others.
#[inline(always)]
pub(super) unsafe fn multiply<const FMA: bool, const ADD: bool>(
    left: Left,
    right: Right,
    (to, stride): (*mut f32, usize),
    [m, k, n]: [usize; 3],
) {
    let mut column = 0;
    while column < n {
        // SAFETY: the caller's, for columns below n and rows below m.
        unsafe {
            let right = Right { data: right.data.add(column / LANES * right.panel + column % LANES), ..right };
            let to = to.add(column);
            match n - column {
                LANES.. => band::<FMA, ADD, LANES>(left, right, to, stride, m, k),
                8.. => band::<FMA, ADD, 8>(left, right, to, stride, m, k),
                _ => band::<FMA, ADD, 1>(left, right, to, stride, m, k),
            }
        }
        column += match n - column {
            LANES.. => LANES,
            8.. => 8,
            _ => 1,
        };
    }
}

/// All rows of `N` columns, four at a time.
///
/// # Safety
/// That of [`multiply`].
#[inline(always)]
unsafe fn band<const FMA: bool, const ADD: bool, const N: usize>(
    left: Left,
    right: Right,
    to: *mut f32,
    stride: usize,
    m: usize,
    k: usize,
) {
    let mut row = 0;
    while row < m {
        // SAFETY: the caller's, for rows below m.
        unsafe {
            let left = Left { data: left.data.add(row * left.row), ..left };
            let to = to.add(row * stride);
            match m - row {
                4.. => tile::<FMA, ADD, 4, N>(left, right, to, stride, k),
                3 => tile::<FMA, ADD, 3, N>(left, right, to, stride, k),
                2 => tile::<FMA, ADD, 2, N>(left, right, to, stride, k),
                _ => tile::<FMA, ADD, 1, N>(left, right, to, stride, k),
            }
        }
        row += 4;
    }
}

/// `M` rows of `N` columns, summed in registers.
///
/// # Safety
/// That of [`multiply`].
#[inline(always)]
unsafe fn tile<const FMA: bool, const ADD: bool, const M: usize, const N: usize>(
    left: Left,
    right: Right,
    to: *mut f32,
    stride: usize,
    k: usize,
) {
    let mut sums = [[0.0f32; N]; M];
    for step in 0..k {
        // SAFETY: the caller's.
        let line = unsafe { *right.data.add(step * right.row).cast::<[f32; N]>() };
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let factor = unsafe { *left.data.add(row * left.row + step * left.column) };
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum = if FMA { factor.mul_add(value, *sum) } else { factor * value + *sum };
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        // SAFETY: the caller's.
        let to = unsafe { &mut *to.add(row * stride).cast::<[f32; N]>() };
        for (to, sum) in to.iter_mut().zip(sums) {
            *to = if ADD { *to + sum } else { *sum };
        }
    }
}
