//! Reductions, running sums, order and counts.

use std::cmp::Ordering;

use super::precision::{self, round};
use super::{Tensor, geometry, violation};
use crate::Dtype;

/// The order of numbers, NaN last.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The mean, in the type `dtype`, as all that follows.
fn mean(row: &[f64], dtype: Dtype) -> f64 {
    round(precision::sum(row.iter().copied(), dtype) / row.len() as f64, dtype)
}

fn squares(row: impl Iterator<Item = f64>, dtype: Dtype) -> Vec<f64> {
    row.map(|x| round(x * x, dtype)).collect()
}

fn variance(row: &[f64], dtype: Dtype) -> f64 {
    let middle = mean(row, dtype);
    mean(&squares(row.iter().map(|x| round(x - middle, dtype)), dtype), dtype)
}

fn l2_norm(row: &[f64], dtype: Dtype) -> f64 {
    precision::sum(squares(row.iter().copied(), dtype), dtype).sqrt()
}

fn largest(row: &[f64]) -> f64 {
    row.iter().copied().fold(f64::NEG_INFINITY, |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) })
}

fn smallest(row: &[f64]) -> f64 {
    -largest(&row.iter().map(|x| -x).collect::<Vec<_>>())
}

fn log_sum_exp(row: &[f64]) -> f64 {
    let top = largest(row);
    if top.is_infinite() { top } else { top + row.iter().map(|x| (x - top).exp()).sum::<f64>().ln() }
}

impl Tensor {
    /// `f` of the elements that `dims` runs over, for each place that remains.
    #[track_caller]
    fn reduce(&self, operation: &str, dims: &[i32], keep: bool, dtype: Dtype, f: impl Fn(&[f64]) -> f64) -> Self {
        let gone = geometry::dims(operation, dims, self.shape.len());
        let strides = geometry::strides(&self.shape);
        let part = |inside: bool| -> (Vec<usize>, Vec<usize>) {
            (0..self.shape.len()).filter(|i| gone.contains(i) == inside).map(|i| (self.shape[i], strides[i])).unzip()
        };
        let ((kept_shape, kept_steps), (gone_shape, gone_steps)) = (part(false), part(true));
        let within = geometry::walk(&gone_shape, &gone_steps);
        let data = geometry::walk(&kept_shape, &kept_steps)
            .into_iter()
            .map(|base| f(&within.iter().map(|offset| self.data[base + offset]).collect::<Vec<_>>()))
            .collect();
        let shape = match keep {
            true => (0..self.shape.len()).map(|i| if gone.contains(&i) { 1 } else { self.shape[i] }).collect(),
            false => kept_shape,
        };
        Self::make(shape, data, dtype)
    }

    /// `f` of each row along `dim`, which gives a row of the same length.
    #[track_caller]
    fn rows(&self, operation: &str, dim: i32, dtype: Dtype, f: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        let dim = geometry::dim(operation, dim, self.shape.len());
        let (before, size, after) = geometry::around(&self.shape, dim);
        let mut data = vec![0.0; self.data.len()];
        for (i, j) in (0..before).flat_map(|i| (0..after).map(move |j| (i, j))) {
            let place = |k: usize| (i * size + k) * after + j;
            let row: Vec<f64> = (0..size).map(|k| self.data[place(k)]).collect();
            f(&row).into_iter().enumerate().for_each(|(k, x)| data[place(k)] = x);
        }
        Self::make(self.shape.clone(), data, dtype)
    }

    #[track_caller]
    pub fn arg_max(&self, dim: i32, keep_dims: bool) -> Self {
        self.argument("arg-max", dim, keep_dims, Ordering::Greater)
    }

    #[track_caller]
    pub fn arg_min(&self, dim: i32, keep_dims: bool) -> Self {
        self.argument("arg-min", dim, keep_dims, Ordering::Less)
    }

    #[track_caller]
    fn argument(&self, operation: &str, dim: i32, keep_dims: bool, wanted: Ordering) -> Self {
        self.must_be_number(operation);
        self.reduce(operation, &[dim], keep_dims, Dtype::Int64, |row| {
            (1..row.len()).fold(0, |best, i| if order(row[i], row[best]) == wanted { i } else { best }) as f64
        })
    }

    #[track_caller]
    pub fn any(&self, dims: &[i32], keep_dims: bool) -> Self {
        self.must_be_bool("any");
        self.reduce("any", dims, keep_dims, Dtype::Boolean, |row| f64::from(u8::from(row.contains(&1.0))))
    }

    #[track_caller]
    pub fn all(&self, dims: &[i32], keep_dims: bool) -> Self {
        self.must_be_bool("all");
        self.reduce("all", dims, keep_dims, Dtype::Boolean, |row| f64::from(u8::from(!row.contains(&0.0))))
    }

    /// What sums of this tensor are of.
    fn summed(&self) -> Dtype {
        if self.dtype.is_int() { Dtype::Int64 } else { self.dtype }
    }

    /// What sums of this tensor are accumulated in.
    fn accumulator(&self) -> Dtype {
        if self.dtype.is_int() { Dtype::Int64 } else { precision::wide(self.dtype) }
    }

    #[track_caller]
    pub fn sum(&self, dims: &[i32], keep_dims: bool) -> Self {
        self.must_be_number("sum");
        let wide = self.accumulator();
        self.reduce("sum", dims, keep_dims, self.summed(), |row| precision::sum(row.iter().copied(), wide))
    }

    #[track_caller]
    pub fn cum_sum(&self, dim: i32) -> Self {
        self.must_be_number("cum-sum");
        let wide = self.accumulator();
        self.rows("cum-sum", dim, self.summed(), |row| {
            row.iter()
                .scan(0.0, |sum, x| {
                    *sum = round(*sum + x, wide);
                    Some(*sum)
                })
                .collect()
        })
    }

    #[track_caller]
    pub fn log_softmax(&self, dim: i32) -> Self {
        self.must_be_float("log-softmax");
        self.rows("log-softmax", dim, self.dtype, |row| {
            let total = log_sum_exp(row);
            row.iter().map(|x| x - total).collect()
        })
    }

    #[track_caller]
    pub fn softmax(&self, dim: i32) -> Self {
        self.must_be_float("softmax");
        self.log_softmax(dim).exp()
    }

    #[track_caller]
    pub fn sort(&self, dim: i32, descending: bool) -> (Self, Self) {
        self.must_be_number("sort");
        let places = self.rows("sort", dim, Dtype::Int64, |row| {
            let mut places: Vec<usize> = (0..row.len()).collect();
            places.sort_by(|a, b| if descending { order(row[*b], row[*a]) } else { order(row[*a], row[*b]) });
            places.into_iter().map(|i| i as f64).collect()
        });
        (self.gather(dim, &places), places)
    }

    #[track_caller]
    pub fn top_k(&self, k: u32, dim: i32) -> (Self, Self) {
        let size = self.shape[geometry::dim("top-k", dim, self.shape.len())];
        if k == 0 || k as usize > size {
            violation("top-k", format_args!("wants {k} of {size} elements"));
        }
        let (values, places) = self.sort(dim, true);
        (values.slice(dim, 0, i64::from(k), 1), places.slice(dim, 0, i64::from(k), 1))
    }

    #[track_caller]
    pub fn histogram(&self, bins: u32, low: f64, high: f64, weights: Option<&Self>) -> Self {
        self.must_be_number("histogram");
        if bins == 0 || low >= high {
            violation("histogram", format_args!("{bins} bins over [{low}, {high})"));
        }
        if self.data.iter().any(|x| x.is_nan()) {
            violation("histogram", "an element is NaN and belongs to no bin");
        }
        if let Some(weights) = weights {
            weights.must_be_float("histogram");
        }
        if let Some(weights) = weights.filter(|w| w.shape != self.shape) {
            violation("histogram", format_args!("weights of shape {:?} for {:?}", weights.shape, self.shape));
        }
        let wide = if self.dtype.is_int() { Dtype::Float64 } else { precision::wide(self.dtype) };
        let (low, high, scale) = (round(low, wide), round(high, wide), round(f64::from(bins) / (high - low), wide));
        let dtype = weights.map_or(Dtype::Int64, |weights| precision::wide(weights.dtype));
        let mut counts = vec![0.0; bins as usize];
        for (i, x) in self.data.iter().enumerate() {
            let bin = round(round(x.clamp(low, high) - low, wide) * scale, wide);
            let bin = bin.floor().clamp(0.0, f64::from(bins - 1)) as usize;
            counts[bin] = round(counts[bin] + weights.map_or(1.0, |w| w.data[i]), dtype);
        }
        Self::make(vec![bins as usize], counts, dtype)
    }
}

/// One line per reduction: what it wants, what it gives, what it does.
macro_rules! reductions {
    ($($name:ident: $wants:ident -> |$row:ident, $wide:pat_param| $f:expr;)+) => { impl Tensor { $(
        #[track_caller]
        pub fn $name(&self, dims: &[i32], keep_dims: bool) -> Self {
            self.$wants(stringify!($name));
            let $wide = self.accumulator();
            self.reduce(stringify!($name), dims, keep_dims, self.dtype, |$row| $f)
        }
    )+ } };
}

reductions! {
    mean: must_be_float -> |row, wide| mean(row, wide);
    max: must_be_number -> |row, _| largest(row);
    min: must_be_number -> |row, _| smallest(row);
    variance: must_be_float -> |row, wide| variance(row, wide);
    log_sum_exp: must_be_float -> |row, _| log_sum_exp(row);
    l2_norm: must_be_float -> |row, wide| l2_norm(row, wide);
}
