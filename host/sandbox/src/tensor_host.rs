//! The contract's `tensor` and `fused` interfaces: a table of operations.
//!
//! A line names an operation; the mathematics, and every check of shapes, types
//! and indices, is [`AnyTensor`]'s. Here each operation runs under what is left of
//! the quota, guarded, and ends the call when it fails: the guest gets a trap, its
//! author the line.

use retune_tensor::{AnyTensor, Dtype, TensorError, fused as run};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::host::{fused, tensor, types};
use crate::state::{Slot, State};

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
    fn map(&mut self, t: &T, operation: impl FnOnce(&AnyTensor) -> Made) -> Result<T> {
        let t = self.get(t)?;
        self.make(|| operation(&t))
    }

    /// Two tensors in, one out.
    fn map2(&mut self, a: &T, b: &T, operation: impl FnOnce(&AnyTensor, &AnyTensor) -> Made) -> Result<T> {
        let (a, b) = (self.get(a)?, self.get(b)?);
        self.make(|| operation(&a, &b))
    }

    /// Three tensors in, one out.
    fn map3(
        &mut self,
        [a, b, c]: [&T; 3],
        operation: impl FnOnce(&AnyTensor, &AnyTensor, &AnyTensor) -> Made,
    ) -> Result<T> {
        let (a, b, c) = (self.get(a)?, self.get(b)?, self.get(c)?);
        self.make(|| operation(&a, &b, &c))
    }

    /// One tensor in, values and indices out.
    fn pair(
        &mut self,
        t: &T,
        operation: impl FnOnce(&AnyTensor) -> std::result::Result<(AnyTensor, AnyTensor), TensorError>,
    ) -> Result<(T, T)> {
        let t = self.get(t)?;
        let (values, indices) = self.run(|| operation(&t))?;
        Ok((self.put(values)?, self.put(indices)?))
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
        let t = self.get(t)?;
        self.read(t.numel().saturating_mul(width))?;
        Ok(Ok(self.run(|| operation(&t))?))
    }
}

/// `name(arguments)`: one tensor and plain values.
macro_rules! unary {
    ($($name:ident ( $($arg:ident : $ty:ty),* );)*) => {$(
        fn $name(&mut self, t: T $(, $arg: $ty)*) -> Result<T> {
            self.map(&t, |t| t.$name($($arg),*))
        }
    )*};
}

/// `name(arguments)`: one tensor and a list of dimensions, or a shape.
macro_rules! listed {
    ($($name:ident ( $($arg:ident : $ty:ty),* );)*) => {$(
        fn $name(&mut self, t: T, list: Vec<i32> $(, $arg: $ty)*) -> Result<T> {
            self.map(&t, |t| t.$name(&list $(, $arg)*))
        }
    )*};
}

/// `name`: two tensors.
macro_rules! binary {
    ($($name:ident)*) => {$(
        fn $name(&mut self, a: T, b: T) -> Result<T> {
            self.map2(&a, &b, |a, b| a.$name(b))
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
        self.copy(&t, 8, AnyTensor::item)
    }

    listed! { reshape(); permute(); expand(); flip(); }
    unary! {
        transpose(dim0: i32, dim1: i32);
        squeeze(dim: i32);
        unsqueeze(dim: i32);
        slice(dim: i32, start: i64, end: i64, step: u32);
        repeat(dim: i32, times: u32);
    }
    fn cast(&mut self, t: T, to: types::Dtype) -> Result<T> {
        self.map(&t, |t| t.cast(dtype(to)))
    }

    fn gather(&mut self, t: T, dim: i32, index: T) -> Result<T> {
        self.map2(&t, &index, |t, index| t.gather(dim, index))
    }
    fn index_select(&mut self, t: T, dim: i32, index: T) -> Result<T> {
        self.map2(&t, &index, |t, index| t.index_select(dim, index))
    }
    fn scatter_add(&mut self, t: T, dim: i32, index: T, src: T) -> Result<T> {
        self.map3([&t, &index, &src], |t, index, src| t.scatter_add(dim, index, src))
    }
    fn where_(&mut self, t: T, then: T, otherwise: T) -> Result<T> {
        self.map3([&t, &then, &otherwise], |t, then, otherwise| t.where_(then, otherwise))
    }
    fn masked_fill(&mut self, t: T, mask: T, value: f64) -> Result<T> {
        self.map2(&t, &mask, |t, mask| t.masked_fill(mask, value))
    }
    fn top_k(&mut self, t: T, k: u32, dim: i32) -> Result<(T, T)> {
        self.pair(&t, |t| t.top_k(k, dim))
    }
    fn sort(&mut self, t: T, dim: i32, descending: bool) -> Result<(T, T)> {
        self.pair(&t, |t| t.sort(dim, descending))
    }

    binary! { add sub mul div pow maximum minimum matmul }
    unary! {
        one_hot(classes: u32);
        add_scalar(rhs: f64);
        mul_scalar(rhs: f64);
        pow_scalar(rhs: f64);
        clamp(min: Option<f64>, max: Option<f64>);

        neg(); abs(); sign(); recip(); exp(); log(); log1p(); sqrt(); rsqrt(); erf();
        floor(); ceil(); round(); tanh(); sigmoid(); log_sigmoid(); softplus(); relu(); gelu(); silu();
    }

    binary! { eq ne lt le gt ge logical_and logical_or }
    unary! {
        eq_scalar(rhs: f64);
        gt_scalar(rhs: f64);
        lt_scalar(rhs: f64);
        logical_not();
        is_finite();
    }

    listed! {
        sum(keep: bool);
        mean(keep: bool);
        max(keep: bool);
        min(keep: bool);
        variance(keep: bool);
        log_sum_exp(keep: bool);
        l2_norm(keep: bool);
        any(keep: bool);
        all(keep: bool);
    }
    unary! {
        arg_max(dim: i32, keep: bool);
        arg_min(dim: i32, keep: bool);
        cum_sum(dim: i32);
        softmax(dim: i32);
        log_softmax(dim: i32);
        detach();
    }
    fn histogram(&mut self, t: T, bins: u32, low: f64, high: f64, weights: Option<T>) -> Result<T> {
        let t = self.get(&t)?;
        let weights = weights.map(|w| self.get(&w)).transpose()?;
        self.make(|| t.histogram(bins, low, high, weights.as_ref()))
    }

    fn drop(&mut self, t: T) -> Result<()> {
        self.discard(t)
    }
}

impl tensor::Host for State {
    fn from_float32(&mut self, data: Vec<f32>, shape: Vec<u32>) -> Result<T> {
        let device = self.device.clone();
        self.make(|| retune_tensor::from_float32(data, &lengths(&shape), &device))
    }
    fn from_int64(&mut self, data: Vec<i64>, shape: Vec<u32>) -> Result<T> {
        let device = self.device.clone();
        self.make(|| retune_tensor::from_int64(data, &lengths(&shape), &device))
    }
    fn full(&mut self, shape: Vec<u32>, value: f64, of: types::Dtype) -> Result<T> {
        let device = self.device.clone();
        self.make(|| retune_tensor::full(&lengths(&shape), value, dtype(of), &device))
    }
    fn arange(&mut self, start: i64, end: i64, step: i64) -> Result<T> {
        let device = self.device.clone();
        self.make(|| retune_tensor::arange(start, end, step, &device))
    }
    fn eye(&mut self, n: u32, of: types::Dtype) -> Result<T> {
        let device = self.device.clone();
        self.make(|| retune_tensor::eye(n as usize, dtype(of), &device))
    }
    fn cat(&mut self, tensors: Vec<T>, dim: i32) -> Result<T> {
        let parts = tensors.iter().map(|t| self.get(t)).collect::<Result<Vec<_>>>()?;
        self.make(|| retune_tensor::cat(&parts.iter().collect::<Vec<_>>(), dim))
    }
    fn stack(&mut self, tensors: Vec<T>, dim: i32) -> Result<T> {
        let parts = tensors.iter().map(|t| self.get(t)).collect::<Result<Vec<_>>>()?;
        self.make(|| retune_tensor::stack(&parts.iter().collect::<Vec<_>>(), dim))
    }
    fn uniform(&mut self, shape: Vec<u32>, low: f64, high: f64, seed: u64) -> Result<T> {
        let device = self.device.clone();
        self.make(|| retune_tensor::uniform(&lengths(&shape), low, high, seed, &device))
    }
    fn normal(&mut self, shape: Vec<u32>, mean: f64, std: f64, seed: u64) -> Result<T> {
        let device = self.device.clone();
        self.make(|| retune_tensor::normal(&lengths(&shape), mean, std, seed, &device))
    }
}

fn lengths(shape: &[u32]) -> Vec<usize> {
    shape.iter().map(|&d| d as usize).collect()
}

impl fused::Host for State {
    fn token_log_probs(&mut self, logits: T, labels: T, ignore_index: i64) -> Result<T> {
        self.map2(&logits, &labels, |logits, labels| run::token_log_probs(logits, labels, ignore_index))
    }
    fn mean_log_probs(&mut self, logits: T) -> Result<T> {
        self.map(&logits, run::mean_log_probs)
    }
    fn kl_div(&mut self, input: T, target: T, temperature: f64, reverse: bool) -> Result<T> {
        self.map2(&input, &target, |input, target| run::kl_div(input, target, temperature, reverse))
    }
    fn entropy(&mut self, logits: T) -> Result<T> {
        self.map(&logits, run::entropy)
    }
}
