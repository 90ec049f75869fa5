//! Operations that pick elements.

use super::elementwise::promote;
use super::{Tensor, geometry, precision, violation};
use crate::Dtype;

impl Tensor {
    /// An index as a position inside `size`.
    #[track_caller]
    fn position(operation: &str, index: f64, size: usize) -> usize {
        if index < 0.0 || index >= size as f64 {
            violation(
                operation,
                format_args!("index {index} is outside 0..{size}; mask labels of -100 before you use them"),
            );
        }
        index as usize
    }

    /// Pairs of (element of `index`, element of `self` it names along `dim`).
    #[track_caller]
    fn pairs(&self, operation: &str, dim: i32, index: &Self) -> Vec<usize> {
        index.must_be_int(operation, "the index");
        let dim = geometry::dim(operation, dim, self.shape.len());
        let fits = index.shape.len() == self.shape.len()
            && (0..self.shape.len()).all(|i| i == dim || index.shape[i] <= self.shape[i]);
        if !fits {
            violation(operation, format_args!("an index of shape {:?} for {:?}", index.shape, self.shape));
        }
        let strides = geometry::strides(&self.shape);
        let mut steps = strides.clone();
        steps[dim] = 0;
        let bases = geometry::walk(&index.shape, &steps);
        let places = index.data.iter().map(|x| Self::position(operation, *x, self.shape[dim]) * strides[dim]);
        bases.into_iter().zip(places).map(|(base, place)| base + place).collect()
    }

    #[track_caller]
    pub fn gather(&self, dim: i32, index: &Self) -> Self {
        let data = self.pairs("gather", dim, index).into_iter().map(|i| self.data[i]).collect();
        Self::make(index.shape.clone(), data, self.dtype)
    }

    #[track_caller]
    pub fn scatter_add(&self, dim: i32, index: &Self, src: &Self) -> Self {
        self.must_be_number("scatter-add");
        if index.shape != src.shape {
            violation(
                "scatter-add",
                format_args!("an index of shape {:?} for a source of {:?}", index.shape, src.shape),
            );
        }
        let dtype = promote("scatter-add", self.dtype, src.dtype);
        let mut data = self.data.to_vec();
        for (place, x) in self.pairs("scatter-add", dim, index).into_iter().zip(src.data.iter()) {
            data[place] = precision::round(data[place] + x, dtype);
        }
        Self::make(self.shape.clone(), data, dtype)
    }

    #[track_caller]
    pub fn index_select(&self, dim: i32, index: &Self) -> Self {
        index.must_be_int("index-select", "the index");
        if index.shape.len() != 1 {
            violation("index-select", format_args!("wants an index of shape [n], this one has {:?}", index.shape));
        }
        let dim = geometry::dim("index-select", dim, self.shape.len());
        let (before, size, after) = geometry::around(&self.shape, dim);
        let mut data = Vec::with_capacity(before * index.data.len() * after);
        for i in 0..before {
            for k in index.data.iter() {
                let k = Self::position("index-select", *k, size);
                data.extend_from_slice(&self.data[(i * size + k) * after..][..after]);
            }
        }
        let mut shape = self.shape.clone();
        shape[dim] = index.data.len();
        Self::make(shape, data, self.dtype)
    }

    #[track_caller]
    pub fn where_(&self, then: &Self, otherwise: &Self) -> Self {
        self.must_be_bool("where");
        let dtype = promote("where", then.dtype, otherwise.dtype);
        let shape = geometry::broadcast("where", &then.shape, &otherwise.shape);
        let shape = geometry::broadcast("where", &self.shape, &shape);
        let [condition, yes, no] = [self, then, otherwise].map(|t| geometry::offsets(&t.shape, &shape));
        let choose = |i: usize| match self.data[condition[i]] != 0.0 {
            true => then.data[yes[i]],
            false => otherwise.data[no[i]],
        };
        let data = (0..condition.len()).map(choose).collect();
        Self::make(shape, data, dtype)
    }

    #[track_caller]
    pub fn masked_fill(&self, mask: &Self, value: f64) -> Self {
        mask.must_be_bool("masked-fill");
        let value = if self.dtype == Dtype::Boolean { value } else { self.scalar("masked-fill", value) };
        let shape = geometry::broadcast("masked-fill", &self.shape, &mask.shape);
        let (own, masks) = (geometry::offsets(&self.shape, &shape), geometry::offsets(&mask.shape, &shape));
        let fill = |(i, j): (&usize, &usize)| if mask.data[*j] != 0.0 { value } else { self.data[*i] };
        let data = own.iter().zip(&masks).map(fill).collect();
        Self::make(shape, data, self.dtype)
    }

    #[track_caller]
    pub fn one_hot(&self, classes: u32) -> Self {
        self.must_be_int("one-hot", "the tensor");
        let classes = classes as usize;
        let mut data = vec![0.0; self.data.len() * classes];
        for (row, class) in self.data.iter().enumerate() {
            data[row * classes + Self::position("one-hot", *class, classes)] = 1.0;
        }
        let shape = self.shape.iter().copied().chain([classes]).collect();
        Self::make(shape, data, Dtype::Int64)
    }
}
