//! The contract's `tensor` and `fused` interfaces: a table of operations.
//!
//! A line names an operation; the mathematics, and every check of shapes, types
//! and indices, is [`AnyTensor`]'s. Here each operation runs under what is left of
//! the quota and of the call's time, guarded, and ends the call when it fails: the guest gets a trap, its
//! author the line. What an operation takes is said in [`op`]; a line here adds what depends on its arguments.

use retune_tensor::{AnyTensor, Device, Dtype, TensorError, fused as run};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::host::{fused, tensor, types};
use crate::handles::Slot;
use crate::keeps::Keeps;
use crate::operation::{self as op, Operation, reduced};
use crate::state::State;

type T = Resource<Slot>;
type Made = std::result::Result<AnyTensor, TensorError>;
type Answer<V> = Result<std::result::Result<V, types::Error>>;

macro_rules! dtypes {
    ($($name:ident)*) => {
        /// The contract's element type as the tensor crate's.
        pub(crate) fn dtype(dtype: types::Dtype) -> Dtype {
            match dtype { $(types::Dtype::$name => Dtype::$name,)* }
        }

        fn named(dtype: Dtype) -> types::Dtype {
            match dtype { $(Dtype::$name => types::Dtype::$name,)* }
        }
    };
}
dtypes! { Float32 Float16 Bfloat16 Float64 Int64 Int32 Uint8 Boolean }

impl State {
    /// One tensor in, one out.
    fn map(&mut self, t: &T, declared: Operation, operation: impl FnOnce(&AnyTensor) -> Made) -> Result<T> {
        self.make(&[t], declared, |inputs| operation(&inputs[0]))
    }

    /// Two tensors in, one out.
    fn map2(
        &mut self,
        a: &T,
        b: &T,
        declared: Operation,
        operation: impl FnOnce(&AnyTensor, &AnyTensor) -> Made,
    ) -> Result<T> {
        self.make(&[a, b], declared, |inputs| operation(&inputs[0], &inputs[1]))
    }

    /// Three tensors in, one out.
    fn map3(
        &mut self,
        tensors: [&T; 3],
        declared: Operation,
        operation: impl FnOnce(&AnyTensor, &AnyTensor, &AnyTensor) -> Made,
    ) -> Result<T> {
        self.make(&tensors, declared, |inputs| operation(&inputs[0], &inputs[1], &inputs[2]))
    }

    /// No tensor in, one out.
    fn create(&mut self, declared: Operation, operation: impl FnOnce(&Device) -> Made) -> Result<T> {
        let device = self.device.clone();
        self.make(&[], declared, |_| operation(&device))
    }

    /// Elements along a dimension, one when it is not there.
    fn along(&self, t: &T, dim: i32) -> Result<u64> {
        let shape = self.get(t)?.shape();
        let axis = if dim < 0 { i64::from(dim) + shape.len() as i64 } else { i64::from(dim) };
        Ok(usize::try_from(axis).ok().and_then(|axis| shape.get(axis)).map_or(1, |size| *size as u64))
    }

    /// A line that looks at an integer on the right before it divides by it or raises to it.
    fn looking_at(&self, declared: Operation, a: &T, b: &T) -> Result<Operation> {
        let (a, b) = (self.get(a)?, self.get(b)?);
        let looked_at = if a.dtype().is_int() && b.dtype().is_int() { b.numel() } else { 0 };
        Ok(declared.needing(looked_at.saturating_mul(16)))
    }

    fn fact<V>(&mut self, t: &T, fact: impl FnOnce(&AnyTensor) -> V) -> Result<V> {
        self.usage.operations += 1;
        Ok(fact(&self.get(t)?))
    }

    /// Elements of `width` bytes, copied into the guest.
    fn copy<V>(
        &mut self,
        t: &T,
        width: u64,
        operation: impl FnOnce(&AnyTensor) -> std::result::Result<V, TensorError>,
    ) -> Answer<V> {
        let elements = self.get(t)?.numel();
        self.read(elements.saturating_mul(width))?;
        let t = self.whole(t)?;
        Ok(Ok(self.run(|| operation(&t))?))
    }
}

/// `name(arguments)`: one tensor and plain values.
macro_rules! unary {
    ($($name:ident ( $($arg:ident : $ty:ty),* );)*) => {$(
        fn $name(&mut self, t: T $(, $arg: $ty)*) -> Result<T> {
            self.map(&t, op::$name(), |t| t.$name($($arg),*))
        }
    )*};
}

/// `name`: one tensor and a list of dimensions, or a shape.
macro_rules! listed {
    ($($name:ident)*) => {$(
        fn $name(&mut self, t: T, list: Vec<i32>) -> Result<T> {
            self.map(&t, op::$name(), |t| t.$name(&list))
        }
    )*};
}

/// How many intermediate results there are at a time, then `name`: one tensor, and dimensions that are folded.
macro_rules! folded {
    ($at_a_time:literal; $($name:ident)*) => {$(
        fn $name(&mut self, t: T, dims: Vec<i32>, keep: bool) -> Result<T> {
            let declared = op::$name().folding(&self.get(&t)?.shape(), &dims, $at_a_time);
            self.map(&t, declared, |t| t.$name(&dims, keep))
        }
    )*};
}

/// `name`: as [`folded`], keeping the places that the values came from.
macro_rules! extreme {
    ($($name:ident)*) => {$(
        fn $name(&mut self, t: T, dims: Vec<i32>, keep: bool) -> Result<T> {
            let shape = self.get(&t)?.shape();
            // Of all elements: as a vector, which has a gradient of its own.
            let whole = u64::from(reduced(&shape, &dims) == 1);
            let keeps = Keeps::places(&shape, &dims).tensors(whole);
            let declared = op::$name().folding(&shape, &dims, 2).keeping(keeps);
            self.map(&t, declared, |t| t.$name(&dims, keep))
        }
    )*};
}

/// `name`: two tensors.
macro_rules! binary {
    ($($name:ident)*) => {$(
        fn $name(&mut self, a: T, b: T) -> Result<T> {
            self.map2(&a, &b, op::$name(), |a, b| a.$name(b))
        }
    )*};
}

impl tensor::HostTensor for State {
    fn shape(&mut self, t: T) -> Result<Vec<u32>> {
        self.fact(&t, |t| t.shape().iter().map(|&d| u32::try_from(d).unwrap_or(u32::MAX)).collect())
    }
    fn dtype(&mut self, t: T) -> Result<types::Dtype> {
        self.fact(&t, |t| named(t.dtype()))
    }
    fn numel(&mut self, t: T) -> Result<u64> {
        self.fact(&t, AnyTensor::numel)
    }

    fn to_float32(&mut self, t: T) -> Answer<Vec<f32>> {
        self.copy(&t, 4, AnyTensor::to_float32)
    }
    fn to_int64(&mut self, t: T) -> Answer<Vec<i64>> {
        self.copy(&t, 8, AnyTensor::to_int64)
    }
    fn item(&mut self, t: T) -> Answer<f64> {
        let tensor = self.get(&t)?;
        if tensor.numel() != 1 {
            let message = format!("`item` wants one element, this tensor has shape {:?}", tensor.shape());
            return Ok(Err(types::Error { kind: types::ErrorKind::Input, message, context: Vec::new() }));
        }
        self.copy(&t, 8, AnyTensor::item)
    }

    listed! { reshape permute expand flip }
    unary! {
        transpose(dim0: i32, dim1: i32);
        squeeze(dim: i32);
        unsqueeze(dim: i32);
        slice(dim: i32, start: i64, end: i64, step: u32);
        detach();
    }
    fn repeat(&mut self, t: T, dim: i32, times: u32) -> Result<T> {
        let made = self.get(&t)?.numel().saturating_mul(u64::from(times));
        self.map(&t, op::repeat().making(made), |t| t.repeat(dim, times))
    }
    fn cast(&mut self, t: T, to: types::Dtype) -> Result<T> {
        let to = dtype(to);
        let declared = if self.get(&t)?.dtype() == to { op::detach() } else { op::cast() };
        self.map(&t, declared.of(to), |t| t.cast(to))
    }

    fn gather(&mut self, t: T, dim: i32, index: T) -> Result<T> {
        let (from, at) = (self.get(&t)?, self.get(&index)?);
        let mut declared = op::gather().making(at.numel()).indexed(&at);
        let (shape, taken) = (from.shape(), at.shape());
        let parts = shape.iter().zip(&taken).filter(|(size, taken)| size != taken).count();
        // A part of the tensor is copied first, and so are booleans.
        if parts > usize::from(self.along(&index, dim)? != self.along(&t, dim)?) {
            let part = from.byte_len().min((at.numel() / self.along(&index, dim)?.max(1)) * self.along(&t, dim)? * 8);
            declared = declared.needing(part).keeping(Keeps::NOTHING.bytes(part));
        }
        if from.dtype() == Dtype::Boolean {
            declared = declared.needing(from.numel().saturating_add(at.numel()));
        }
        self.map2(&t, &index, declared, |t, index| t.gather(dim, index))
    }
    fn index_select(&mut self, t: T, dim: i32, index: T) -> Result<T> {
        let (from, at) = (self.get(&t)?, self.get(&index)?);
        let made = (from.numel() / self.along(&t, dim)?.max(1)).saturating_mul(at.numel());
        let mut declared = op::index_select().making(made).indexed(&at);
        if from.dtype() == Dtype::Boolean {
            declared = declared.needing(from.numel().saturating_add(made));
        }
        self.map2(&t, &index, declared, |t, index| t.index_select(dim, index))
    }
    fn scatter_add(&mut self, t: T, dim: i32, index: T, src: T) -> Result<T> {
        let (to, from, at) = (self.get(&t)?, self.get(&src)?, self.get(&index)?);
        let differ = to.dtype() != from.dtype();
        let cast = if differ { to.numel().saturating_add(from.numel()) } else { 0 };
        let declared = op::scatter_add().making(to.numel()).indexed(&at).by(cast);
        self.map3([&t, &index, &src], declared, |t, index, src| t.scatter_add(dim, index, src))
    }
    fn where_(&mut self, t: T, then: T, otherwise: T) -> Result<T> {
        let (one, other) = (self.get(&then)?, self.get(&otherwise)?);
        let differ = one.dtype() != other.dtype();
        let declared = op::where_().by(if differ { one.numel().saturating_add(other.numel()) } else { 0 });
        self.map3([&t, &then, &otherwise], declared, |t, then, otherwise| t.where_(then, otherwise))
    }
    fn masked_fill(&mut self, t: T, mask: T, value: f64) -> Result<T> {
        self.map2(&t, &mask, op::masked_fill(), |t, mask| t.masked_fill(mask, value))
    }
    fn top_k(&mut self, t: T, k: u32, dim: i32) -> Result<(T, T)> {
        let along = self.along(&t, dim)?.max(1);
        let made = (self.get(&t)?.numel() / along).saturating_mul(u64::from(k));
        self.make_pair(&t, op::top_k().sorting(along).making(made), |t| t.top_k(k, dim))
    }
    fn sort(&mut self, t: T, dim: i32, descending: bool) -> Result<(T, T)> {
        let along = self.along(&t, dim)?;
        self.make_pair(&t, op::sort().sorting(along), |t| t.sort(dim, descending))
    }

    binary! { add sub mul maximum minimum }
    fn div(&mut self, a: T, b: T) -> Result<T> {
        let declared = self.looking_at(op::div(), &a, &b)?;
        self.map2(&a, &b, declared, |a, b| a.div(b))
    }
    fn pow(&mut self, a: T, b: T) -> Result<T> {
        let declared = self.looking_at(op::pow(), &a, &b)?;
        self.map2(&a, &b, declared, |a, b| a.pow(b))
    }
    fn matmul(&mut self, a: T, b: T) -> Result<T> {
        let declared = op::matmul().multiplying(&self.get(&a)?, &self.get(&b)?);
        self.map2(&a, &b, declared, |a, b| a.matmul(b))
    }
    fn one_hot(&mut self, t: T, classes: u32) -> Result<T> {
        let made = self.get(&t)?.numel().saturating_mul(u64::from(classes));
        let declared = op::one_hot().making(made).indexed(&self.get(&t)?);
        self.map(&t, declared, |t| t.one_hot(classes))
    }
    unary! {
        add_scalar(rhs: f64);
        mul_scalar(rhs: f64);
        pow_scalar(rhs: f64);
        clamp(min: Option<f64>, max: Option<f64>);

        neg(); recip(); exp(); log(); log1p(); sqrt(); rsqrt(); erf(); tanh(); sigmoid(); log_sigmoid(); softplus(); relu();
        gelu(); silu(); abs(); sign(); floor(); ceil(); round();
    }

    binary! { eq ne lt le gt ge logical_and logical_or }
    unary! {
        eq_scalar(rhs: f64);
        gt_scalar(rhs: f64);
        lt_scalar(rhs: f64);
        logical_not();
        is_finite();
    }

    folded! { 2; sum mean any all }
    folded! { 4; variance log_sum_exp l2_norm }
    extreme! { max min }
    fn arg_max(&mut self, t: T, dim: i32, keep: bool) -> Result<T> {
        let made = self.get(&t)?.numel() / self.along(&t, dim)?.max(1);
        self.map(&t, op::arg_max().making(made).by(made), |t| t.arg_max(dim, keep))
    }
    fn arg_min(&mut self, t: T, dim: i32, keep: bool) -> Result<T> {
        let made = self.get(&t)?.numel() / self.along(&t, dim)?.max(1);
        self.map(&t, op::arg_min().making(made).by(made), |t| t.arg_min(dim, keep))
    }
    unary! { cum_sum(dim: i32); log_softmax(dim: i32); softmax(dim: i32); }
    fn histogram(&mut self, t: T, bins: u32, low: f64, high: f64, weights: Option<T>) -> Result<T> {
        let inputs: Vec<&T> = [&t].into_iter().chain(&weights).collect();
        let declared = if weights.is_some() { op::weighted_histogram() } else { op::histogram() };
        const PART: u64 = 1 << 16;
        let declared = declared.making(u64::from(bins)).needing(40 * self.get(&t)?.numel().min(PART));
        self.make(&inputs, declared, |inputs| inputs[0].histogram(bins, low, high, inputs.get(1)))
    }

    fn drop(&mut self, t: T) -> Result<()> {
        self.discard(t)
    }
}

impl tensor::Host for State {
    fn from_float32(&mut self, data: Vec<f32>, shape: Vec<u32>) -> Result<T> {
        let declared = op::from_float32().making(data.len() as u64).of(Dtype::Float32);
        self.create(declared, |device| retune_tensor::from_float32(data, &lengths(&shape), device))
    }
    fn from_int64(&mut self, data: Vec<i64>, shape: Vec<u32>) -> Result<T> {
        let declared = op::from_int64().making(data.len() as u64);
        self.create(declared, |device| retune_tensor::from_int64(data, &lengths(&shape), device))
    }
    fn full(&mut self, shape: Vec<u32>, value: f64, of: types::Dtype) -> Result<T> {
        let (declared, of) = (op::full().making(elements(&shape)), dtype(of));
        self.create(declared.of(of), |device| retune_tensor::full(&lengths(&shape), value, of, device))
    }
    fn arange(&mut self, start: i64, end: i64, step: i64) -> Result<T> {
        let count = start.abs_diff(end).div_ceil(step.unsigned_abs().max(1));
        let made = if (step > 0) == (end > start) { count } else { 0 };
        self.create(op::arange().making(made), |device| retune_tensor::arange(start, end, step, device))
    }
    fn eye(&mut self, n: u32, of: types::Dtype) -> Result<T> {
        let (declared, of) = (op::eye().making(elements(&[n, n])), dtype(of));
        self.create(declared.of(of), |device| retune_tensor::eye(n as usize, of, device))
    }
    fn cat(&mut self, tensors: Vec<T>, dim: i32) -> Result<T> {
        let inputs: Vec<&T> = tensors.iter().collect();
        let declared = op::cat().making(self.together(&inputs)?);
        self.make(&inputs, declared, |parts| retune_tensor::cat(&parts.iter().collect::<Vec<_>>(), dim))
    }
    fn stack(&mut self, tensors: Vec<T>, dim: i32) -> Result<T> {
        let inputs: Vec<&T> = tensors.iter().collect();
        let declared = op::stack().making(self.together(&inputs)?);
        self.make(&inputs, declared, |parts| retune_tensor::stack(&parts.iter().collect::<Vec<_>>(), dim))
    }
    fn uniform(&mut self, shape: Vec<u32>, low: f64, high: f64, seed: u64) -> Result<T> {
        let declared = op::uniform().making(elements(&shape)).of(Dtype::Float32);
        self.create(declared, |device| retune_tensor::uniform(&lengths(&shape), low, high, seed, device))
    }
    fn normal(&mut self, shape: Vec<u32>, mean: f64, std: f64, seed: u64) -> Result<T> {
        let declared = op::normal().making(elements(&shape)).of(Dtype::Float32);
        self.create(declared, |device| retune_tensor::normal(&lengths(&shape), mean, std, seed, device))
    }
}

fn lengths(shape: &[u32]) -> Vec<usize> {
    shape.iter().map(|&d| d as usize).collect()
}

fn elements(shape: &[u32]) -> u64 {
    shape.iter().fold(1, |count: u64, size| count.saturating_mul(u64::from(*size)))
}

impl State {
    /// Elements of all of them.
    fn together(&self, tensors: &[&T]) -> Result<u64> {
        tensors.iter().try_fold(0, |sum: u64, t| Ok(sum.saturating_add(self.get(t)?.numel())))
    }

    /// A score of each row of logits.
    fn scored(&self, declared: Operation, logits: &T) -> Result<Operation> {
        let logits = self.get(logits)?;
        let rows = logits.numel() / logits.shape().last().map_or(1, |vocabulary| (*vocabulary as u64).max(1));
        // float64 is not fused.
        let single = logits.dtype() == Dtype::Float64 && !logits.is_lazy();
        let declared = declared.making(rows).keeping(Keeps::LAZILY.bytes(run::kept(&logits)));
        Ok(declared.by(if single { logits.numel().saturating_mul(2) } else { 0 }))
    }
}

impl fused::Host for State {
    fn token_log_probs(&mut self, logits: T, labels: T, ignore_index: i64) -> Result<T> {
        let declared = self.scored(op::token_log_probs(), &logits)?;
        self.map2(&logits, &labels, declared, |logits, labels| run::token_log_probs(logits, labels, ignore_index))
    }
    fn mean_log_probs(&mut self, logits: T) -> Result<T> {
        let declared = self.scored(op::mean_log_probs(), &logits)?;
        self.map(&logits, declared, run::mean_log_probs)
    }
    fn kl_div(&mut self, input: T, target: T, temperature: f64, reverse: bool) -> Result<T> {
        let (a, b) = (self.get(&input)?, self.get(&target)?);
        let vocabulary = a.shape().last().map_or(1, |vocabulary| (*vocabulary as u64).max(1));
        let tracked = a.is_tracked() || b.is_tracked();
        let declared = if tracked { op::kl_div() } else { op::constant_kl_div() }.making(a.numel() / vocabulary);
        let part = a.numel().min(vocabulary.max(run::CHUNK as u64));
        let declared = if tracked { declared } else { declared.by(part.saturating_mul(10)) };
        self.map2(&input, &target, declared, |input, target| run::kl_div(input, target, temperature, reverse))
    }
    fn entropy(&mut self, logits: T) -> Result<T> {
        let declared = self.scored(op::entropy(), &logits)?;
        self.map(&logits, declared, run::entropy)
    }
}

#[cfg(test)]
mod tests {
    use super::tensor::{Host, HostTensor};
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn what_the_contract_calls_an_error_is_one_and_not_a_trap() {
        let mut state = State::new(
            "p".into(),
            Limits { readback_mib: 0, ..Limits::default() },
            Device::flex(),
            None,
            7,
            crate::meter::Meter::default(),
        );
        let pair = state.from_float32(vec![1.0, 2.0], vec![2]).unwrap();
        let error = state.item(Resource::new_borrow(pair.rep())).unwrap().unwrap_err();
        assert_eq!(error.message, "`item` wants one element, this tensor has shape [2]");
        // A copy beyond its limit is a trap.
        assert!(state.to_float32(pair).is_err());
    }
}
