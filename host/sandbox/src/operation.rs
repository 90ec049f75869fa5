//! What each operation on tensors takes, said before it runs: a table of one line an operation.
//!
//! A line has what the operation leaves for the backward pass ([`Keeps`]), what its result takes ([`Makes`]), what it
//! needs beside inputs and result while it works ([`Beside`]), and how often it goes through its elements, forward and
//! backward. [`State::make`](crate::state::State::make) compares that with what is left of the quota and of the call's time, before
//! any memory is taken.
//!
//! Memory is an upper bound (`tests/admission.rs` measures it, and `tests/hoarding.rs` what is kept); price: near its
//! quota an honest loss is refused some memory that it would not have taken. Work is a lower bound, and [`Speed`] that
//! of a machine with the same number of threads that is as fast as any: what is refused for its time could not have been done.

use std::time::Duration;

use retune_tensor::device::is_host;
use retune_tensor::{AnyTensor, Device, Dtype};

use crate::keeps::Keeps;

/// An operation, and where it says so what is known of this use of it alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    name: &'static str,
    keeps: Keeps,
    makes: Makes,
    beside: Beside,
    forward: u32,
    backward: u32,
    /// Elements of the result, where they are not those that the inputs broadcast to.
    elements: Option<u64>,
    /// Bytes of an element of the result, where the inputs do not say.
    width: Option<u64>,
    /// Multiplications.
    products: u64,
    /// Elements of what is made on the way, in the type that is worked in.
    on_the_way: u64,
    /// Bytes of what is made on the way.
    extra: u64,
}

/// What an element of the result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Makes {
    /// The inputs' own, in another order: no memory is taken, and what reads it may first copy it.
    Turned,
    /// The inputs' own: no memory is taken, unless their order has to change.
    View,
    /// Of the type in which the inputs meet.
    Like,
    /// True or false.
    Truth,
    /// An int64.
    Place,
    /// As [`Makes::Like`], and an int64.
    Both,
    /// float32, or float64.
    Score,
}

/// What is needed beside inputs, result and what is kept while an operation works: for each element of a result that is
/// [`Makes::Like`], and of the largest tensor otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    wide: u64,
    bytes: u64,
    mixed: u64,
    narrow: u64,
}

impl Beside {
    /// Nothing.
    const NOTHING: Self = Self { wide: 0, bytes: 0, mixed: 0, narrow: 0 };

    /// So many copies in the type that the work is done in: float32, float64 or int64.
    const fn copies(copies: u64) -> Self {
        Self { wide: copies, ..Self::NOTHING }
    }

    /// So many bytes.
    const fn bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    /// So many copies more where types differ, or are none that is worked in.
    const fn mixed(self, copies: u64) -> Self {
        Self { mixed: copies, ..self }
    }

    /// So many copies more of 16-bit floats and of small integers, which are worked on in a wider type.
    const fn narrow(self, copies: u64) -> Self {
        Self { narrow: copies, ..self }
    }
}

macro_rules! operations {
    ($($name:ident = $keeps:expr, $makes:ident, $beside:expr, $forward:literal, $backward:literal;)*) => {$(
        pub(crate) const fn $name() -> Operation {
            Operation {
                name: stringify!($name),
                keeps: $keeps,
                makes: Makes::$makes,
                beside: $beside,
                forward: $forward,
                backward: $backward,
                elements: None,
                width: None,
                products: 0,
                on_the_way: 0,
                extra: 0,
            }
        }
    )*};
}

const NONE: Beside = Beside::NOTHING;

/// Name, what it leaves for backward, what its result is, what it needs beside, passes forward and backward. A backward
/// pass that makes a gradient as large as the input, whatever was taken of it, has three: it is cleared, written, and added
/// to what is there.
#[rustfmt::skip]
mod table {
    use super::{Beside, Keeps, Makes, NONE, Operation};

    const ONE: Keeps = Keeps::NOTHING.tensors(1);
    const VIEW: Keeps = Keeps::VIEW;
    const NOTHING: Keeps = Keeps::NOTHING;
    const TWO: Keeps = Keeps::NOTHING.tensors(2);
    const PROMOTED: Keeps = Keeps::PROMOTED;
    const WIDENED: Keeps = Keeps::WIDENED.tensors(1);
    const LAZILY: Keeps = Keeps::LAZILY;

    operations! {
        reshape         = VIEW,     View,   NONE,                           0, 1;
        permute         = VIEW,     Turned, NONE,                           0, 1;
        transpose       = VIEW,     Turned, NONE,                           0, 1;
        expand          = VIEW,     Turned, NONE,                           0, 1;
        flip            = VIEW,     Turned, NONE,                           0, 1;
        slice           = VIEW,     Turned, NONE,                           0, 3;
        squeeze         = VIEW,     View,   NONE,                           0, 1;
        unsqueeze       = VIEW,     View,   NONE,                           0, 1;
        detach          = VIEW,     View,   NONE,                           0, 0;
        repeat          = VIEW,     Like,   Beside::copies(1),              1, 1;
        cast            = VIEW,     Like,   NONE,                           1, 1;

        gather          = NOTHING,  Like,   NONE,                           1, 3;
        index_select    = NOTHING,  Like,   NONE,                           1, 3;
        scatter_add     = NOTHING,  Like,   Beside::copies(1),              1, 1;
        where_          = NOTHING,  Like,   NONE.bytes(3),                  1, 1;
        masked_fill     = NOTHING,  Like,   NONE,                           1, 1;
        top_k           = NOTHING,  Both,   Beside::copies(3).bytes(8),     4, 3;
        sort            = NOTHING,  Both,   Beside::copies(3),              4, 3;

        add             = PROMOTED, Like,   NONE,                           1, 1;
        sub             = PROMOTED, Like,   NONE,                           1, 1;
        mul             = PROMOTED, Like,   NONE,                           1, 2;
        div             = PROMOTED, Like,   NONE,                           1, 2;
        pow             = PROMOTED, Like,   NONE,                           1, 2;
        maximum         = PROMOTED, Like,   NONE.bytes(3),                  1, 2;
        minimum         = PROMOTED, Like,   NONE.bytes(3),                  1, 2;
        matmul          = PROMOTED, Like,   Beside::copies(1).narrow(1),    0, 0;

        one_hot         = NOTHING,  Place,  NONE.bytes(1),                  1, 0;
        add_scalar      = NOTHING,  Like,   NONE,                           1, 1;
        mul_scalar      = NOTHING,  Like,   NONE,                           1, 1;
        neg             = NOTHING,  Like,   NONE,                           1, 1;
        recip           = NOTHING,  Like,   NONE,                           1, 1;
        exp             = NOTHING,  Like,   NONE,                           1, 1;
        log             = NOTHING,  Like,   NONE,                           1, 1;
        log1p           = NOTHING,  Like,   NONE,                           1, 1;
        sqrt            = NOTHING,  Like,   NONE,                           1, 1;
        erf             = NOTHING,  Like,   NONE,                           1, 1;
        tanh            = NOTHING,  Like,   NONE,                           1, 1;
        sigmoid         = NOTHING,  Like,   NONE,                           1, 1;
        log_sigmoid     = NOTHING,  Like,   NONE,                           1, 1;
        relu            = NOTHING,  Like,   NONE,                           1, 1;
        gelu            = NOTHING,  Like,   NONE,                           1, 1;
        clamp           = VIEW,     Like,   Beside::copies(1).bytes(2),     1, 1;
        abs             = VIEW,     Like,   NONE,                           1, 1;
        sign            = VIEW,     Like,   NONE,                           1, 0;
        floor           = VIEW,     Like,   NONE,                           1, 0;
        ceil            = VIEW,     Like,   NONE,                           1, 0;
        round           = VIEW,     Like,   NONE,                           1, 0;
        pow_scalar      = VIEW.tensors(1), Like, NONE,                      1, 1;
        rsqrt           = ONE,      Like,   NONE,                           1, 1;
        softplus        = ONE,      Like,   NONE,                           1, 1;
        silu            = ONE,      Like,   NONE,                           1, 1;

        eq              = NOTHING,  Truth,  NONE.mixed(2),                  1, 0;
        ne              = NOTHING,  Truth,  NONE.mixed(2),                  1, 0;
        lt              = NOTHING,  Truth,  NONE.mixed(2),                  1, 0;
        le              = NOTHING,  Truth,  NONE.mixed(2),                  1, 0;
        gt              = NOTHING,  Truth,  NONE.mixed(2),                  1, 0;
        ge              = NOTHING,  Truth,  NONE.mixed(2),                  1, 0;
        logical_and     = NOTHING,  Truth,  NONE,                           1, 0;
        logical_or      = NOTHING,  Truth,  NONE,                           1, 0;
        eq_scalar       = NOTHING,  Truth,  NONE,                           1, 0;
        gt_scalar       = NOTHING,  Truth,  NONE,                           1, 0;
        lt_scalar       = NOTHING,  Truth,  NONE,                           1, 0;
        logical_not     = NOTHING,  Truth,  NONE,                           1, 0;
        is_finite       = NOTHING,  Truth,  NONE.bytes(1),                  1, 0;

        sum             = NOTHING,  Score,  NONE.narrow(1),                 1, 1;
        mean            = NOTHING,  Score,  NONE.narrow(1),                 1, 1;
        any             = NOTHING,  Truth,  NONE.bytes(2),                  1, 0;
        all             = NOTHING,  Truth,  NONE.bytes(2),                  1, 0;
        variance        = ONE,      Score,  Beside::copies(1).narrow(1),    3, 3;
        log_sum_exp     = ONE,      Score,  Beside::copies(1).narrow(1),    3, 2;
        l2_norm         = WIDENED,  Score,  Beside::copies(1).narrow(1),    2, 2;
        max             = NOTHING,  Score,  NONE,                           1, 3;
        min             = NOTHING,  Score,  NONE,                           1, 3;
        arg_max         = NOTHING,  Place,  NONE,                           1, 0;
        arg_min         = NOTHING,  Place,  NONE,                           1, 0;
        cum_sum         = NOTHING,  Score,  NONE.narrow(2),                 1, 1;
        log_softmax     = ONE,      Like,   NONE.narrow(2),                 2, 2;
        softmax         = TWO,      Like,   NONE.narrow(2),                 2, 2;
        histogram       = NOTHING,  Place,  NONE,                           1, 0;
        weighted_histogram = ONE,   Place,  NONE.narrow(1),                 1, 1;

        from_float32    = NOTHING,  Score,  NONE,                           0, 0;
        from_int64      = NOTHING,  Place,  NONE,                           0, 0;
        full            = NOTHING,  Like,   NONE,                           1, 0;
        arange          = NOTHING,  Place,  NONE,                           1, 0;
        eye             = NOTHING,  Like,   NONE.bytes(1),                  1, 0;
        uniform         = NOTHING,  Score,  NONE,                           4, 0;
        normal          = NOTHING,  Score,  NONE,                          16, 0;
        cat             = VIEW,     Like,   NONE.mixed(1),                  1, 1;
        stack           = VIEW,     Like,   NONE.mixed(1),                  1, 1;

        token_log_probs = LAZILY,   Score,  NONE,                           1, 1;
        mean_log_probs  = LAZILY,   Score,  NONE,                           1, 1;
        entropy         = LAZILY,   Score,  NONE,                           1, 1;
        kl_div          = NOTHING.tensors(3), Score, Beside::copies(5).narrow(2), 4, 4;
        constant_kl_div = LAZILY,   Score,  NONE.mixed(2).narrow(2),        4, 0;
    }
}
pub(crate) use table::*;

/// What a use of an operation on some inputs takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Bytes that stay for the backward pass when the operation is recorded, and go otherwise.
    pub kept: u64,
    /// Bytes of the result.
    pub result: u64,
    /// Bytes beside both, while it works.
    pub beside: u64,
    /// Passes over elements.
    pub forward: u64,
    /// Passes over elements, backward.
    pub backward: u64,
    /// Multiplications; the backward pass has twice as many.
    pub products: u64,
}

impl Operation {
    /// With a result of so many elements.
    pub(crate) const fn making(self, elements: u64) -> Self {
        Self { elements: Some(elements), ..self }
    }

    /// With a result of this type.
    pub(crate) const fn of(self, dtype: Dtype) -> Self {
        Self { width: Some(dtype.size()), ..self }
    }

    /// Folding `dims` of a tensor of `shape`, one after the other, with so many intermediate results at a time.
    pub(crate) fn folding(self, shape: &[usize], dims: &[i32], at_a_time: u64) -> Self {
        let rank = shape.len() as i64;
        let first = dims.iter().map(|dim| i64::from(*dim) + if *dim < 0 { rank } else { 0 }).min();
        let first = first.and_then(|dim| i32::try_from(dim).ok()).filter(|_| dims.len() > 1);
        Self {
            elements: Some(reduced(shape, dims)),
            on_the_way: first.map_or(0, |first| reduced(shape, &[first]).saturating_mul(at_a_time)),
            ..self
        }
    }

    /// What it leaves for backward in place of what the table says.
    pub(crate) const fn keeping(self, keeps: Keeps) -> Self {
        Self { keeps, ..self }
    }

    /// Sorting along a dimension of so many elements.
    pub(crate) fn sorting(self, along: u64) -> Self {
        Self { forward: self.forward * (along.max(2).ilog2() + 1), ..self }
    }

    /// Making so many elements on the way, in the type that is worked in.
    pub(crate) const fn by(self, elements: u64) -> Self {
        Self { on_the_way: elements, ..self }
    }

    /// Making so many bytes on the way.
    pub(crate) const fn needing(self, bytes: u64) -> Self {
        Self { extra: self.extra.saturating_add(bytes), ..self }
    }

    /// Looking at all of `index` on the host, a part at a time.
    pub(crate) fn indexed(self, index: &AnyTensor) -> Self {
        const PART: u64 = 1 << 20;
        let count = index.numel();
        let whole = if index.dtype() == Dtype::Uint8 { count.saturating_mul(8) } else { 0 };
        self.needing(whole.saturating_add(16 * count.min(PART)))
    }

    /// Multiplying two matrices, or lists of them.
    pub(crate) fn multiplying(self, a: &AnyTensor, b: &AnyTensor) -> Self {
        let (left, right) = (a.shape(), b.shape());
        let inner = left.last().map_or(1, |size| *size as u64).max(1);
        let rows = if left.len() > 1 { left[left.len() - 2] as u64 } else { 1 };
        let columns = if right.len() > 1 { right[right.len() - 1] as u64 } else { 1 };
        let lead = |shape: &[usize]| shape.iter().rev().skip(2).map(|size| *size as u64).collect::<Vec<_>>();
        let (l, r) = (lead(&left), lead(&right));
        let matrices = (0..l.len().max(r.len()))
            .map(|axis| l.get(axis).copied().unwrap_or(1).max(r.get(axis).copied().unwrap_or(1)))
            .fold(1, u64::saturating_mul);
        let elements = matrices.saturating_mul(rows).saturating_mul(columns);
        let products = elements.saturating_mul(inner);
        // Integers are multiplied one at a time.
        let products = if a.dtype().is_int() && b.dtype().is_int() { products.saturating_mul(16) } else { products };
        // Half floats are multiplied in float32; so are types that differ, in the one they meet in.
        let differ = a.dtype() != b.dtype() || !matches!(a.dtype(), Dtype::Float32 | Dtype::Float64 | Dtype::Int64);
        let on_the_way = if differ { a.numel().saturating_add(b.numel()) } else { 0 };
        // One that is seen in another rank has a gradient of its own in the backward pass.
        let seen = |own: &[usize], other: &[usize]| own.len() < other.len().max(2);
        let padded = [(a, seen(&left, &right)), (b, seen(&right, &left))];
        let kept = padded.iter().filter(|(_, seen)| *seen).fold(0, |sum: u64, (t, _)| sum.saturating_add(t.byte_len()));
        Self { elements: Some(elements), products, on_the_way, keeps: self.keeps.bytes(kept), ..self }
    }

    /// As the contract spells it.
    pub(crate) fn name(&self) -> String {
        let name = self.name.trim_start_matches("weighted_").trim_start_matches("constant_").trim_end_matches('_');
        name.replace('_', "-")
    }

    /// Whether the two are one line of the table.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }

    /// What it leaves for the backward pass.
    pub(crate) const fn keeps(&self) -> Keeps {
        self.keeps
    }

    /// Whether elements of the result may lie in another order than its shape says.
    pub(crate) const fn turns(&self) -> bool {
        matches!(self.makes, Makes::Turned)
    }

    /// Whether the result takes no memory of its own.
    pub(crate) const fn is_view(&self) -> bool {
        matches!(self.makes, Makes::Turned | Makes::View)
    }

    /// What it takes of `inputs`, of which so many bytes lie in an order that they may have to be copied from.
    pub(crate) fn needs(&self, inputs: &[AnyTensor], turned: u64) -> Needs {
        let meet = Meeting::of(inputs);
        let sizes = || inputs.iter().map(AnyTensor::numel);
        let elements = self.elements.unwrap_or_else(|| broadcast(inputs));
        let largest = sizes().fold(elements, u64::max);
        let width = match (self.makes, self.width) {
            (Makes::Turned | Makes::View, _) => 0,
            (_, Some(width)) => width,
            (Makes::Like, _) => meet.size,
            (Makes::Truth, _) => 1,
            (Makes::Place, _) => 8,
            (Makes::Both, _) => meet.size + 8,
            (Makes::Score, _) => meet.wide,
        };
        let Beside { wide, bytes, mixed, narrow } = self.beside;
        let copies = wide + if meet.differ { mixed } else { 0 };
        let each = copies * meet.wide + bytes + narrow * meet.widened;
        let passed = if matches!(self.makes, Makes::Like) { elements } else { largest };
        let recorded = inputs.iter().any(AnyTensor::is_tracked);
        let keeps = if recorded { self.keeps } else { self.keeps.unrecorded() };
        let tracked = inputs.iter().filter(|t| t.is_tracked()).fold(0, |sum: u64, t| sum.saturating_add(t.numel()));
        let on_the_way = self.on_the_way.saturating_mul(meet.wide);
        let beside = passed.saturating_mul(each).saturating_add(on_the_way).saturating_add(self.extra);
        Needs {
            kept: keeps.between(inputs),
            result: elements.saturating_mul(width),
            beside: beside.saturating_add(if self.turns() { 0 } else { turned }),
            forward: passed.saturating_mul(u64::from(self.forward)),
            backward: tracked.max(elements).saturating_mul(u64::from(self.backward)),
            products: self.products,
        }
    }
}

/// The types of some inputs.
struct Meeting {
    /// Bytes of an element in the type they meet in.
    size: u64,
    /// Bytes of an element in the type that is worked in.
    wide: u64,
    /// Whether they have to be brought into one type first, or into one that is worked in.
    differ: bool,
    /// Bytes that an element takes in a wider type, where one is worked on in it.
    widened: u64,
}

impl Meeting {
    fn of(inputs: &[AnyTensor]) -> Self {
        let (mut float, mut other, mut integers, mut differ, mut widened) = (0, 1, false, false, 0);
        let first = inputs.first().map(AnyTensor::dtype);
        for dtype in inputs.iter().map(AnyTensor::dtype) {
            let size = dtype.size();
            differ |= Some(dtype) != first || dtype == Dtype::Uint8;
            match (dtype.is_float(), dtype.is_int()) {
                (true, _) => {
                    float = size.max(float);
                    widened = if size < 4 { widened.max(4) } else { widened };
                }
                (_, true) => {
                    (other, integers) = (size.max(other), true);
                    widened = if size < 8 { 8 } else { widened };
                }
                _ => {}
            }
        }
        match float {
            0 => Self { size: other, wide: if integers { 8 } else { 1 }, differ, widened },
            // float16 and bfloat16 meet in float32.
            size => {
                let size = if size == 2 && differ { 4 } else { size };
                Self { size, wide: size.max(4), differ, widened }
            }
        }
    }
}

/// The elements of the shape that the inputs broadcast to, or of the largest when they do not.
fn broadcast(inputs: &[AnyTensor]) -> u64 {
    let [first, others @ ..] = inputs else { return 0 };
    if others.is_empty() {
        return first.numel();
    }
    let shapes: Vec<Vec<usize>> = inputs.iter().map(AnyTensor::shape).collect();
    let rank = shapes.iter().map(Vec::len).max().unwrap_or(0);
    let size = |from_end: usize| {
        let sizes = shapes.iter().filter_map(|shape| shape.len().checked_sub(from_end + 1).map(|axis| shape[axis]));
        sizes.reduce(|one, other| if one == 0 || other == 0 { 0 } else { one.max(other) }).unwrap_or(1) as u64
    };
    (0..rank).fold(1, |count: u64, axis| count.saturating_mul(size(axis)))
}

/// What is left of `shape` when `dims` are reduced; all of them when none is named.
pub(crate) fn reduced(shape: &[usize], dims: &[i32]) -> u64 {
    let rank = shape.len() as i64;
    let gone = |axis: usize| {
        dims.is_empty() || dims.iter().any(|dim| i64::from(*dim) + if *dim < 0 { rank } else { 0 } == axis as i64)
    };
    let left = shape.iter().enumerate().filter(|(axis, _)| !gone(*axis));
    left.fold(1, |count: u64, (_, size)| count.saturating_mul(*size as u64))
}

/// How fast a machine with these threads can be; none is faster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speed {
    /// Elements a second that are read and written in a cache.
    forward: f64,
    /// Elements a second of gradients as large as memory, each in memory that is new.
    backward: f64,
    /// Multiplications of floats a second.
    products: f64,
}

impl Speed {
    /// That of the device that tensors live on.
    pub(crate) fn of(device: &Device) -> Self {
        if !is_host(device) {
            return Self { forward: 1e13, backward: 2e12, products: 1e15 };
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        // What all threads read and write comes through one memory.
        let few = threads.min(16.0);
        Self { forward: 8e9 * threads, backward: 1.5e9 * few, products: 8e10 * threads }
    }

    /// The least time that an operation can take.
    pub(crate) fn forward(&self, needs: &Needs) -> Duration {
        seconds(needs.forward as f64 / self.forward + needs.products as f64 / self.products)
    }

    /// The least time that its part of the backward pass can take.
    pub(crate) fn backward(&self, needs: &Needs) -> Duration {
        seconds(needs.backward as f64 / self.backward + 2.0 * needs.products as f64 / self.products)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
