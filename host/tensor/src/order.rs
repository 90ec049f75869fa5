//! The order of elements along a dimension, on the CPU.
//!
//! An element and its place are packed into one integer that sorts as the element does, so that sorting touches nothing
//! else; burn's CPU backend sorts places by looking each element up, some ten times slower for a million of them. Of equal
//! elements the one that stands first comes first. NaN is larger than infinity, or smaller than its negative, by its sign.
//!
//! Price: beside the places, a copy of the elements and twice their size (16-bit floats: in float32) for the longest row.

use rayon::prelude::*;

use crate::error::Result;
use crate::portable::is_host;
use crate::{AnyTensor, Dtype, from_int64};

/// Elements of one row that are sorted by several threads.
const LONG: usize = 1 << 16;

/// Where each element along `axis` of the sorted tensor stands in `tensor`, int64; `None` where the device has to say.
pub(crate) fn places(tensor: &AnyTensor, axis: usize, descending: bool) -> Result<Option<AnyTensor>> {
    let (tensor, shape) = (tensor.untracked(), tensor.shape());
    let rows = Rows { size: shape[axis], inner: shape[axis + 1..].iter().product() };
    if !is_host(&tensor.device()) || rows.size > u32::MAX as usize || tensor.numel() == 0 {
        return Ok(None);
    }
    let places = match tensor.dtype() {
        Dtype::Float64 => {
            let key = |value: f64| rising64(value.to_bits() as i64);
            rows.wide(&tensor.to_float64()?, |value| if descending { !key(value) } else { key(value) })
        }
        dtype if dtype.is_float() => {
            let key = |value: f32| rising32(value.to_bits() as i32);
            rows.narrow(&tensor.to_float32()?, |value| if descending { !key(value) } else { key(value) })
        }
        _ => {
            let key = |value: i64| (value as u64) ^ (1 << 63);
            rows.wide(&tensor.to_int64()?, |value| if descending { !key(value) } else { key(value) })
        }
    };
    from_int64(places, &shape, &tensor.device()).map(Some)
}

/// The bits of a float as an integer that rises with it (`total_cmp`).
fn rising32(bits: i32) -> u32 {
    ((bits ^ (((bits >> 31) as u32) >> 1) as i32) as u32) ^ (1 << 31)
}

/// As [`rising32`], of a float64.
fn rising64(bits: i64) -> u64 {
    ((bits ^ (((bits >> 63) as u64) >> 1) as i64) as u64) ^ (1 << 63)
}

/// Rows of `size` elements that lie `inner` apart.
#[derive(Clone, Copy)]
struct Rows {
    size: usize,
    inner: usize,
}

impl Rows {
    fn narrow(self, values: &[f32], key: impl Fn(f32) -> u32 + Sync) -> Vec<i64> {
        self.places(values, |value, place| (u64::from(key(value)) << 32) | place as u64, |packed: u64| packed as u32)
    }

    fn wide<V: Copy + Sync>(self, values: &[V], key: impl Fn(V) -> u64 + Sync) -> Vec<i64> {
        self.places(values, |value, place| (u128::from(key(value)) << 32) | place as u128, |packed: u128| packed as u32)
    }

    fn places<V: Copy + Sync, P: Copy + Ord + Send>(
        self,
        values: &[V],
        pack: impl Fn(V, usize) -> P + Sync,
        place: impl Fn(P) -> u32 + Sync,
    ) -> Vec<i64> {
        let Self { size, inner } = self;
        let mut places = vec![0; values.len()];
        let block = |values: &[V], places: &mut [i64], packed: &mut Vec<P>| {
            for first in 0..inner {
                packed.clear();
                packed.extend(values[first..].iter().step_by(inner).enumerate().map(|(at, value)| pack(*value, at)));
                if size >= LONG {
                    packed.par_sort_unstable()
                } else {
                    packed.sort_unstable()
                }
                for (to, from) in places[first..].iter_mut().step_by(inner).zip(packed.iter()) {
                    *to = i64::from(place(*from));
                }
            }
        };
        let length = size * inner;
        if size >= LONG {
            let mut packed = Vec::with_capacity(size);
            values.chunks(length).zip(places.chunks_mut(length)).for_each(|(from, to)| block(from, to, &mut packed));
        } else {
            let blocks = values.par_chunks(length).zip(places.par_chunks_mut(length));
            blocks.for_each_init(|| Vec::with_capacity(size), |packed, (from, to)| block(from, to, packed));
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_a_stable_sort_along_any_dimension_and_type() {
        let device = crate::Device::flex();
        let values: Vec<f32> = (0..120).map(|i| ((i * 37 % 50) as f32 - 25.0) * 0.5).collect();
        for dtype in [Dtype::Float32, Dtype::Bfloat16, Dtype::Float64, Dtype::Int64, Dtype::Int32] {
            let tensor = crate::from_float32(values.clone(), &[4, 5, 6], &device).unwrap().cast(dtype).unwrap();
            let seen = tensor.to_float32().unwrap();
            for (axis, inner) in [(0, 30), (1, 6), (2, 1)] {
                let size = [4, 5, 6][axis];
                for descending in [false, true] {
                    let found = places(&tensor, axis, descending).unwrap().unwrap().to_int64().unwrap();
                    for start in (0..120).filter(|i| i / inner % size == 0) {
                        let row: Vec<f32> = (0..size).map(|j| seen[start + j * inner]).collect();
                        let mut expected: Vec<usize> = (0..size).collect();
                        expected.sort_by(|a, b| match descending {
                            true => row[*b].total_cmp(&row[*a]),
                            false => row[*a].total_cmp(&row[*b]),
                        });
                        let found: Vec<usize> = (0..size).map(|j| found[start + j * inner] as usize).collect();
                        assert_eq!(found, expected, "{dtype} along {axis}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_row_is_sorted_as_a_short_one_is() {
        let values: Vec<f32> = (0..LONG + 3).map(|i| ((i * 7919) % 65_537) as f32).collect();
        let tensor = crate::from_float32(values.clone(), &[values.len()], &crate::Device::flex()).unwrap();
        let found = places(&tensor, 0, false).unwrap().unwrap().to_int64().unwrap();
        assert!(found.windows(2).all(|pair| values[pair[0] as usize] <= values[pair[1] as usize]));
        let mut all = found;
        all.sort_unstable();
        assert!(all.iter().enumerate().all(|(at, place)| at as i64 == *place));
    }

    #[test]
    fn floats_rise_as_total_cmp_says() {
        let values = [f32::NEG_INFINITY, -1.5, -0.0, 0.0, 1e-40, 2.0, f32::INFINITY, f32::NAN];
        let keys = values.map(|value| rising32(value.to_bits() as i32));
        assert!(keys.is_sorted());
        assert!(values.map(|value| rising64(f64::from(value).to_bits() as i64)).is_sorted());
    }
}
