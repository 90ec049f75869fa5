//! Tensors from values, and tensors from tensors side by side.

use burn::backend::Dispatch;
use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::tensor::{Device, Element, Shape, TensorData};

use crate::any::by_kind;
use crate::dtype::{Dtype, Kind, scalar_of};
use crate::error::{Result, TensorError, ensure, fail};
use crate::geometry::{admit, dimension};
use crate::portable::is_host;
use crate::{AnyTensor, transfer};

fn held(shape: &[usize]) -> Vec<usize> {
    if shape.is_empty() { vec![1] } else { shape.to_vec() }
}

fn from_values<E: Element>(
    op: &'static str,
    data: Vec<E>,
    shape: &[usize],
    dtype: Dtype,
    device: &Device,
) -> Result<AnyTensor> {
    let numel = admit(op, shape, dtype)?;
    ensure!(data.len() == numel, op, "shape {shape:?} holds {numel} elements, {} were given", data.len());
    transfer::sent::<E>(numel);
    AnyTensor::make(op, shape, || {
        let data = TensorData::new(data, held(shape));
        match dtype.kind() {
            Kind::Float => Dispatch::float_from_data(data, device.as_dispatch()),
            _ => Dispatch::int_from_data(data, device.as_dispatch()),
        }
    })
}

/// float32 elements in row-major order.
///
/// # Errors
/// When `shape` does not hold as many elements as there are.
pub fn from_float32(data: Vec<f32>, shape: &[usize], device: &Device) -> Result<AnyTensor> {
    from_values("from-float32", data, shape, Dtype::Float32, device)
}

/// float64 elements in row-major order.
///
/// # Errors
/// When `shape` does not hold as many elements as there are.
pub fn from_float64(data: Vec<f64>, shape: &[usize], device: &Device) -> Result<AnyTensor> {
    from_values("from-float64", data, shape, Dtype::Float64, device)
}

/// int64 elements in row-major order. A tensor on another device than the CPU keeps them on the host as well, so that
/// reading labels or checking indices does not wait for the device.
///
/// # Errors
/// When `shape` does not hold as many elements as there are.
pub fn from_int64(data: Vec<i64>, shape: &[usize], device: &Device) -> Result<AnyTensor> {
    let known = (!is_host(device)).then(|| data.as_slice().into());
    Ok(from_values("from-int64", data, shape, Dtype::Int64, device)?.with_known(known))
}

/// `value` everywhere: truncated for integers, anything but zero true for booleans.
///
/// # Errors
/// When the tensor would be too large, or an integer cannot be NaN or infinite.
pub fn full(shape: &[usize], value: f64, dtype: Dtype, device: &Device) -> Result<AnyTensor> {
    let op = "full";
    admit(op, shape, dtype)?;
    let (to, place) = (Shape::from(held(shape)), device.as_dispatch());
    let scalar = match dtype.kind() {
        Kind::Bool => burn::tensor::Scalar::Bool(value != 0.0),
        _ => scalar_of(op, value, dtype)?,
    };
    let store = device.settings().bool_dtype;
    AnyTensor::make(op, shape, || match dtype.kind() {
        Kind::Float => Dispatch::float_full(to, scalar, place, dtype.float()),
        Kind::Int => Dispatch::int_full(to, scalar, place, dtype.int()),
        Kind::Bool if value != 0.0 => Dispatch::bool_ones(to, place, store),
        Kind::Bool => Dispatch::bool_zeros(to, place, store),
    })
}

/// `start, start + step, ..` up to but without `end`; int64, shape `[n]`.
///
/// # Errors
/// When `step` is zero or the tensor would be too large.
pub fn arange(start: i64, end: i64, step: i64, device: &Device) -> Result<AnyTensor> {
    let op = "arange";
    ensure!(step != 0, op, "the step must not be zero");
    let span = if step > 0 { i128::from(end) - i128::from(start) } else { i128::from(start) - i128::from(end) };
    let count = (span.max(0) as u128).div_ceil(u128::from(step.unsigned_abs()));
    let count = usize::try_from(count).map_err(|_| TensorError::new(op, format!("{count} elements are too many")))?;
    admit(op, &[count], Dtype::Int64)?;
    let data = (0..count).map(|i| (i128::from(start) + i as i128 * i128::from(step)) as i64).collect();
    from_int64(data, &[count], device)
}

/// The identity matrix `[n, n]`.
///
/// # Errors
/// When it would be too large.
pub fn eye(n: usize, dtype: Dtype, device: &Device) -> Result<AnyTensor> {
    admit("eye", &[n, n], dtype)?;
    let range = arange(0, n as i64, 1, device)?;
    range.unsqueeze(1)?.eq(&range)?.cast(dtype)
}

/// One after another along `dim`, in the type all of them meet in.
///
/// # Errors
/// When there is no tensor, one is a scalar, or sizes differ outside `dim`.
pub fn cat(tensors: &[&AnyTensor], dim: i32) -> Result<AnyTensor> {
    joined("cat", tensors, dim)
}

fn joined(op: &'static str, tensors: &[&AnyTensor], dim: i32) -> Result<AnyTensor> {
    let Some(first) = tensors.first() else { fail!(op, "there is no tensor") };
    let mut shape = first.shape();
    let axis = dimension(op, dim, shape.len())?;
    let (mut dtype, mut along) = (first.dtype(), 0usize);
    for tensor in tensors {
        let other = tensor.shape();
        let fits = other.len() == shape.len() && (0..shape.len()).all(|k| k == axis || other[k] == shape[k]);
        ensure!(fits, op, "shapes {:?} and {other:?} differ outside dimension {dim}", first.shape());
        dtype = dtype.promote(tensor.dtype(), op)?;
        along = along.saturating_add(other[axis]);
    }
    shape[axis] = along;
    admit(op, &shape, dtype)?;
    let parts = tensors.iter().map(|t| t.cast(dtype)).collect::<Result<Vec<_>>>()?;
    AnyTensor::make(op, &shape, || {
        let parts = parts.iter().map(AnyTensor::raw).collect();
        by_kind!(dtype.kind(); float_cat, int_cat, bool_cat; parts, axis)
    })
}

/// Side by side along a new dimension `dim`.
///
/// # Errors
/// When there is no tensor or the shapes differ.
pub fn stack(tensors: &[&AnyTensor], dim: i32) -> Result<AnyTensor> {
    let op = "stack";
    let Some(first) = tensors.first() else { fail!(op, "there is no tensor") };
    let axis = dimension(op, dim, first.rank() + 1)?;
    for tensor in tensors {
        ensure!(tensor.shape() == first.shape(), op, "shapes {:?} and {:?} differ", first.shape(), tensor.shape());
    }
    let parts = tensors.iter().map(|t| t.unsqueeze(axis as i32)).collect::<Result<Vec<_>>>()?;
    joined(op, &parts.iter().collect::<Vec<_>>(), axis as i32)
}
