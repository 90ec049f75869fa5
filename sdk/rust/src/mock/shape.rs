//! Operations that move elements and leave them as they are.

use super::{Tensor, geometry, violation};

impl Tensor {
    #[track_caller]
    pub fn reshape(&self, shape: &[i32]) -> Self {
        let known: usize = shape.iter().filter(|size| **size >= 0).map(|size| *size as usize).product();
        let open = shape.iter().filter(|size| **size < 0).count();
        let rest = self.data.len().checked_div(known).unwrap_or_default();
        let full: Vec<usize> = shape.iter().map(|size| if *size < 0 { rest } else { *size as usize }).collect();
        if open > 1 || shape.iter().any(|size| *size < -1) || full.iter().product::<usize>() != self.data.len() {
            violation("reshape", format_args!("{:?} cannot become {shape:?}", self.shape));
        }
        Self { shape: full, data: self.data.clone(), dtype: self.dtype }
    }

    #[track_caller]
    pub fn permute(&self, dims: &[i32]) -> Self {
        let rank = self.shape.len();
        if dims.len() != rank {
            violation("permute", format_args!("{dims:?} does not name all {rank} dimensions"));
        }
        if rank > 0 {
            geometry::dims("permute", dims, rank);
        }
        let strides = geometry::strides(&self.shape);
        let (shape, steps): (Vec<_>, Vec<_>) =
            dims.iter().map(|d| geometry::dim("permute", *d, rank)).map(|d| (self.shape[d], strides[d])).unzip();
        let data = geometry::walk(&shape, &steps).into_iter().map(|i| self.data[i]).collect();
        Self::make(shape, data, self.dtype)
    }

    #[track_caller]
    pub fn transpose(&self, dim0: i32, dim1: i32) -> Self {
        let rank = self.shape.len();
        let mut order: Vec<i32> = (0..rank as i32).collect();
        order.swap(geometry::dim("transpose", dim0, rank), geometry::dim("transpose", dim1, rank));
        self.permute(&order)
    }

    #[track_caller]
    pub fn expand(&self, shape: &[i32]) -> Self {
        let lead = shape.len().checked_sub(self.shape.len());
        let full: Option<Vec<usize>> = lead.and_then(|lead| {
            let own = |i: usize| i.checked_sub(lead).map(|j| self.shape[j]);
            let size = |(i, size): (usize, &i32)| match (*size, own(i)) {
                (-1, own) => own,
                (size, Some(own)) if own == size as usize || own == 1 => Some(size as usize),
                (size, None) if size >= 0 => Some(size as usize),
                _ => None,
            };
            shape.iter().enumerate().map(size).collect()
        });
        let Some(full) = full else { violation("expand", format_args!("{:?} to {shape:?}", self.shape)) };
        let data = geometry::offsets(&self.shape, &full).into_iter().map(|i| self.data[i]).collect();
        Self::make(full, data, self.dtype)
    }

    #[track_caller]
    pub fn squeeze(&self, dim: i32) -> Self {
        let dim = geometry::dim("squeeze", dim, self.shape.len());
        if self.shape[dim] != 1 {
            violation("squeeze", format_args!("dimension {dim} of {:?} is not of size one", self.shape));
        }
        let mut shape = self.shape.clone();
        shape.remove(dim);
        Self { shape, data: self.data.clone(), dtype: self.dtype }
    }

    #[track_caller]
    pub fn unsqueeze(&self, dim: i32) -> Self {
        let dim = geometry::dim("unsqueeze", dim, self.shape.len() + 1);
        let mut shape = self.shape.clone();
        shape.insert(dim, 1);
        Self { shape, data: self.data.clone(), dtype: self.dtype }
    }

    /// The elements of `dim` at `places`.
    fn pick(&self, dim: usize, places: &[usize]) -> Self {
        let (before, size, after) = geometry::around(&self.shape, dim);
        let data = (0..before)
            .flat_map(|i| places.iter().flat_map(move |k| &self.data[(i * size + k) * after..][..after]))
            .copied()
            .collect();
        let mut shape = self.shape.clone();
        shape[dim] = places.len();
        Self::make(shape, data, self.dtype)
    }

    #[track_caller]
    pub fn slice(&self, dim: i32, start: i64, end: i64, step: u32) -> Self {
        let dim = geometry::dim("slice", dim, self.shape.len());
        let size = self.shape[dim] as i64;
        let cut = |at: i64| if at < 0 { at.saturating_add(size).max(0) } else { at.min(size) } as usize;
        if step == 0 {
            violation("slice", "the step must be at least 1");
        }
        self.pick(dim, &(cut(start)..cut(end)).step_by(step as usize).collect::<Vec<_>>())
    }

    #[track_caller]
    pub fn flip(&self, dims: &[i32]) -> Self {
        geometry::dims("flip", dims, self.shape.len())
            .into_iter()
            .fold(self.clone(), |tensor, dim| tensor.pick(dim, &(0..tensor.shape[dim]).rev().collect::<Vec<_>>()))
    }

    #[track_caller]
    pub fn repeat(&self, dim: i32, times: u32) -> Self {
        let dim = geometry::dim("repeat", dim, self.shape.len());
        if times == 0 {
            violation("repeat", "needs at least one copy");
        }
        self.pick(dim, &(0..times).flat_map(|_| 0..self.shape[dim]).collect::<Vec<_>>())
    }
}
