//! The contract's `tensor` and `fused` interfaces: a table of operations.
//!
//! A line names an operation; the mathematics, and every check of shapes, types
//! and indices, is [`AnyTensor`]'s. Here each operation runs under what is left of
//! the quota, guarded, and ends the call when it fails: the guest gets a trap, its
//! author the line. A line also says what the operation [`Keeps`].

use retune_tensor::{AnyTensor, Device, Dtype, TensorError, fused as run};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::host::{fused, tensor, types};
use crate::handles::Slot;
use crate::keeps::Keeps;
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
    fn map(&mut self, t: &T, keeps: Keeps, operation: impl FnOnce(&AnyTensor) -> Made) -> Result<T> {
        self.make(&[t], keeps, |inputs| operation(&inputs[0]))
    }

    /// Two tensors in, one out.
    fn map2(
        &mut self,
        a: &T,
        b: &T,
        keeps: Keeps,
        operation: impl FnOnce(&AnyTensor, &AnyTensor) -> Made,
    ) -> Result<T> {
        self.make(&[a, b], keeps, |inputs| operation(&inputs[0], &inputs[1]))
    }

    /// Three tensors in, one out.
    fn map3(
        &mut self,
        tensors: [&T; 3],
        keeps: Keeps,
        operation: impl FnOnce(&AnyTensor, &AnyTensor, &AnyTensor) -> Made,
    ) -> Result<T> {
        self.make(&tensors, keeps, |inputs| operation(&inputs[0], &inputs[1], &inputs[2]))
    }

    /// No tensor in, one out.
    fn create(&mut self, operation: impl FnOnce(&Device) -> Made) -> Result<T> {
        let device = self.device.clone();
        self.make(&[], Keeps::NOTHING, |_| operation(&device))
    }

    /// What a maximum or minimum keeps.
    fn places(&self, t: &T, dims: &[i32]) -> Result<Keeps> {
        Ok(Keeps::places(&self.get(t)?.shape(), dims))
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

/// What it keeps, then `name(arguments)`: one tensor and plain values.
macro_rules! unary {
    ($keeps:expr; $($name:ident ( $($arg:ident : $ty:ty),* );)*) => {$(
        fn $name(&mut self, t: T $(, $arg: $ty)*) -> Result<T> {
            self.map(&t, $keeps, |t| t.$name($($arg),*))
        }
    )*};
}

/// What it keeps, then `name(arguments)`: one tensor and a list of dimensions, or a shape.
macro_rules! listed {
    ($keeps:expr; $($name:ident ( $($arg:ident : $ty:ty),* );)*) => {$(
        fn $name(&mut self, t: T, list: Vec<i32> $(, $arg: $ty)*) -> Result<T> {
            self.map(&t, $keeps, |t| t.$name(&list $(, $arg)*))
        }
    )*};
}

/// What it keeps, then `name`: two tensors.
macro_rules! binary {
    ($keeps:expr; $($name:ident)*) => {$(
        fn $name(&mut self, a: T, b: T) -> Result<T> {
            self.map2(&a, &b, $keeps, |a, b| a.$name(b))
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

    listed! { Keeps::VIEW; reshape(); permute(); expand(); flip(); }
    unary! { Keeps::VIEW;
        transpose(dim0: i32, dim1: i32);
        squeeze(dim: i32);
        unsqueeze(dim: i32);
        slice(dim: i32, start: i64, end: i64, step: u32);
        repeat(dim: i32, times: u32);
        detach();
    }
    fn cast(&mut self, t: T, to: types::Dtype) -> Result<T> {
        self.map(&t, Keeps::VIEW, |t| t.cast(dtype(to)))
    }

    fn gather(&mut self, t: T, dim: i32, index: T) -> Result<T> {
        self.map2(&t, &index, Keeps::NOTHING, |t, index| t.gather(dim, index))
    }
    fn index_select(&mut self, t: T, dim: i32, index: T) -> Result<T> {
        self.map2(&t, &index, Keeps::NOTHING, |t, index| t.index_select(dim, index))
    }
    fn scatter_add(&mut self, t: T, dim: i32, index: T, src: T) -> Result<T> {
        self.map3([&t, &index, &src], Keeps::NOTHING, |t, index, src| t.scatter_add(dim, index, src))
    }
    fn where_(&mut self, t: T, then: T, otherwise: T) -> Result<T> {
        self.map3([&t, &then, &otherwise], Keeps::NOTHING, |t, then, otherwise| t.where_(then, otherwise))
    }
    fn masked_fill(&mut self, t: T, mask: T, value: f64) -> Result<T> {
        self.map2(&t, &mask, Keeps::NOTHING, |t, mask| t.masked_fill(mask, value))
    }
    fn top_k(&mut self, t: T, k: u32, dim: i32) -> Result<(T, T)> {
        self.make_pair(&t, Keeps::NOTHING, |t| t.top_k(k, dim))
    }
    fn sort(&mut self, t: T, dim: i32, descending: bool) -> Result<(T, T)> {
        self.make_pair(&t, Keeps::NOTHING, |t| t.sort(dim, descending))
    }

    binary! { Keeps::PROMOTED; add sub mul div pow maximum minimum matmul }
    unary! { Keeps::NOTHING;
        one_hot(classes: u32);
        add_scalar(rhs: f64);
        mul_scalar(rhs: f64);

        neg(); recip(); exp(); log(); log1p(); sqrt(); erf(); tanh(); sigmoid(); log_sigmoid(); relu(); gelu();
    }
    unary! { Keeps::VIEW;
        clamp(min: Option<f64>, max: Option<f64>);

        abs(); sign(); floor(); ceil(); round();
    }
    unary! { Keeps::VIEW.tensors(1); pow_scalar(rhs: f64); }
    unary! { Keeps::NOTHING.tensors(1); rsqrt(); softplus(); silu(); }

    binary! { Keeps::NOTHING; eq ne lt le gt ge logical_and logical_or }
    unary! { Keeps::NOTHING;
        eq_scalar(rhs: f64);
        gt_scalar(rhs: f64);
        lt_scalar(rhs: f64);
        logical_not();
        is_finite();
    }

    listed! { Keeps::NOTHING; sum(keep: bool); mean(keep: bool); any(keep: bool); all(keep: bool); }
    listed! { Keeps::NOTHING.tensors(1); variance(keep: bool); log_sum_exp(keep: bool); }
    listed! { Keeps::WIDENED; l2_norm(keep: bool); }
    fn max(&mut self, t: T, list: Vec<i32>, keep: bool) -> Result<T> {
        let keeps = self.places(&t, &list)?;
        self.map(&t, keeps, |t| t.max(&list, keep))
    }
    fn min(&mut self, t: T, list: Vec<i32>, keep: bool) -> Result<T> {
        let keeps = self.places(&t, &list)?;
        self.map(&t, keeps, |t| t.min(&list, keep))
    }
    unary! { Keeps::NOTHING;
        arg_max(dim: i32, keep: bool);
        arg_min(dim: i32, keep: bool);
        cum_sum(dim: i32);
    }
    unary! { Keeps::NOTHING.tensors(1); log_softmax(dim: i32); }
    unary! { Keeps::NOTHING.tensors(2); softmax(dim: i32); }
    fn histogram(&mut self, t: T, bins: u32, low: f64, high: f64, weights: Option<T>) -> Result<T> {
        let inputs: Vec<&T> = [&t].into_iter().chain(&weights).collect();
        self.make(&inputs, Keeps::NOTHING.tensors(1), |inputs| inputs[0].histogram(bins, low, high, inputs.get(1)))
    }

    fn drop(&mut self, t: T) -> Result<()> {
        self.discard(t)
    }
}

impl tensor::Host for State {
    fn from_float32(&mut self, data: Vec<f32>, shape: Vec<u32>) -> Result<T> {
        self.create(|device| retune_tensor::from_float32(data, &lengths(&shape), device))
    }
    fn from_int64(&mut self, data: Vec<i64>, shape: Vec<u32>) -> Result<T> {
        self.create(|device| retune_tensor::from_int64(data, &lengths(&shape), device))
    }
    fn full(&mut self, shape: Vec<u32>, value: f64, of: types::Dtype) -> Result<T> {
        self.create(|device| retune_tensor::full(&lengths(&shape), value, dtype(of), device))
    }
    fn arange(&mut self, start: i64, end: i64, step: i64) -> Result<T> {
        self.create(|device| retune_tensor::arange(start, end, step, device))
    }
    fn eye(&mut self, n: u32, of: types::Dtype) -> Result<T> {
        self.create(|device| retune_tensor::eye(n as usize, dtype(of), device))
    }
    fn cat(&mut self, tensors: Vec<T>, dim: i32) -> Result<T> {
        let inputs: Vec<&T> = tensors.iter().collect();
        self.make(&inputs, Keeps::VIEW, |parts| retune_tensor::cat(&parts.iter().collect::<Vec<_>>(), dim))
    }
    fn stack(&mut self, tensors: Vec<T>, dim: i32) -> Result<T> {
        let inputs: Vec<&T> = tensors.iter().collect();
        self.make(&inputs, Keeps::VIEW, |parts| retune_tensor::stack(&parts.iter().collect::<Vec<_>>(), dim))
    }
    fn uniform(&mut self, shape: Vec<u32>, low: f64, high: f64, seed: u64) -> Result<T> {
        self.create(|device| retune_tensor::uniform(&lengths(&shape), low, high, seed, device))
    }
    fn normal(&mut self, shape: Vec<u32>, mean: f64, std: f64, seed: u64) -> Result<T> {
        self.create(|device| retune_tensor::normal(&lengths(&shape), mean, std, seed, device))
    }
}

fn lengths(shape: &[u32]) -> Vec<usize> {
    shape.iter().map(|&d| d as usize).collect()
}

impl State {
    /// What a score of each row of logits keeps.
    fn scored(&self, logits: &T) -> Result<Keeps> {
        Ok(Keeps::LAZILY.bytes(run::kept(&self.get(logits)?)))
    }
}

impl fused::Host for State {
    fn token_log_probs(&mut self, logits: T, labels: T, ignore_index: i64) -> Result<T> {
        let keeps = self.scored(&logits)?;
        self.map2(&logits, &labels, keeps, |logits, labels| run::token_log_probs(logits, labels, ignore_index))
    }
    fn mean_log_probs(&mut self, logits: T) -> Result<T> {
        let keeps = self.scored(&logits)?;
        self.map(&logits, keeps, run::mean_log_probs)
    }
    fn kl_div(&mut self, input: T, target: T, temperature: f64, reverse: bool) -> Result<T> {
        let tracked = self.get(&input)?.is_tracked() || self.get(&target)?.is_tracked();
        let keeps = if tracked { Keeps::NOTHING.tensors(3) } else { Keeps::LAZILY };
        self.map2(&input, &target, keeps, |input, target| run::kl_div(input, target, temperature, reverse))
    }
    fn entropy(&mut self, logits: T) -> Result<T> {
        let keeps = self.scored(&logits)?;
        self.map(&logits, keeps, run::entropy)
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
