//! What an operation on tensors leaves in memory beside its result.
//!
//! A recorded operation holds on to what its backward pass will read, and the guest
//! has no handle to that: it could drop everything it sees and go on, until the host
//! has no memory left. So the quota charges for it. Its inputs are charged already,
//! and stay charged when the operation is recorded; what has to be said here is what
//! lies between them and the result, and what has a gradient of its own there: the backward pass holds one for each
//! step at the same depth. The numbers are upper bounds of what burn keeps
//! (`tests/hoarding.rs` measures them); price: an honest loss is charged for some
//! memory that it does not take.
//!
//! A result can also lie in the memory of an input, as a row of a matrix does. While
//! it is there, so is all of that memory.

use retune_tensor::{AnyTensor, Dtype};

/// What an operation leaves behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeps {
    view: bool,
    promoted: bool,
    widened: bool,
    lazily: bool,
    tensors: u64,
    bytes: u64,
}

impl Keeps {
    /// Nothing but, at most, its inputs and its result.
    pub(crate) const NOTHING: Self =
        Self { view: false, promoted: false, widened: false, lazily: false, tensors: 0, bytes: 0 };

    /// Nothing; the result may be a view of an input.
    pub(crate) const VIEW: Self = Self { view: true, ..Self::NOTHING };

    /// Inputs that meet in a type that is not theirs, in that type.
    pub(crate) const PROMOTED: Self = Self { promoted: true, ..Self::NOTHING };

    /// 16-bit inputs in float32.
    pub(crate) const WIDENED: Self = Self { widened: true, ..Self::NOTHING };

    /// Logits that do not exist stay so: the operation computes them in chunks.
    pub(crate) const LAZILY: Self = Self { lazily: true, ..Self::NOTHING };

    /// So many tensors of the size of the inputs, in float32 or wider.
    pub(crate) const fn tensors(self, tensors: u64) -> Self {
        Self { tensors, ..self }
    }

    /// So many bytes.
    pub(crate) const fn bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    /// What there is of it for a moment when nothing is recorded.
    pub(crate) fn unrecorded(self) -> Self {
        Self { tensors: self.tensors.min(1), ..self }
    }

    /// The places that a maximum over `dims` came from, one dimension after the other.
    pub(crate) fn places(shape: &[usize], dims: &[i32]) -> Self {
        let rank = shape.len() as i64;
        let mut left = shape.iter().fold(1u64, |n, d| n.saturating_mul(*d as u64));
        let mut dims: Vec<i64> = dims.iter().map(|dim| i64::from(*dim) + if *dim < 0 { rank } else { 0 }).collect();
        dims.sort_unstable();
        let mut places = 0u64;
        for dim in dims {
            let size = usize::try_from(dim).ok().and_then(|dim| shape.get(dim)).copied().unwrap_or(1);
            left /= (size as u64).max(1);
            places = places.saturating_add(left);
        }
        Self::NOTHING.bytes(places.saturating_mul(8))
    }

    /// Whether the result may lie in the memory of an input.
    pub(crate) fn is_view(self) -> bool {
        self.view
    }

    /// Whether the operation reads lazy logits as they are.
    pub(crate) fn is_lazy(self) -> bool {
        self.lazily
    }

    /// Bytes that a recorded operation on `inputs` keeps between them and its result.
    pub(crate) fn between(self, inputs: &[AnyTensor]) -> u64 {
        let meet = inputs.iter().map(|t| if t.dtype().is_float() { t.dtype().size() } else { 4 }).max();
        let meet = meet.unwrap_or_default().max(4);
        let differ = inputs.iter().any(|t| t.dtype() != inputs[0].dtype());
        let of = |t: &AnyTensor| {
            let (dtype, numel) = (t.dtype(), t.numel());
            let copies = [
                self.tensors.saturating_mul(dtype.size().max(4)),
                if self.promoted && differ && dtype != Dtype::Boolean { meet } else { 0 },
                if self.widened && dtype.is_float() && dtype.size() < 4 { 4 } else { 0 },
                // Nothing works on bytes as they are: as indices they become int64.
                if dtype == Dtype::Uint8 { 8 } else { 0 },
            ];
            numel.saturating_mul(copies.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes)))
        };
        inputs.iter().map(of).fold(self.bytes, u64::saturating_add)
    }
}
