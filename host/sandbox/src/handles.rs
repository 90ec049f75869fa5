//! What the guest's handles point to.

use retune_roles::Batch;
use retune_tensor::AnyTensor;

/// A tensor.
pub struct Slot {
    /// `None` once the host has taken it back.
    pub(crate) tensor: Option<AnyTensor>,
    /// Charged to the quota; zero for tensors the host lent.
    pub(crate) bytes: u64,
    /// Filled during `init`: not emptied between calls.
    pub(crate) permanent: bool,
    /// The backward pass will read it: charged until the call returns.
    pub(crate) kept: bool,
    /// Its elements may lie in another order than its shape says: what reads it may have to copy it.
    pub(crate) turned: bool,
}

/// The batch of a call: nothing once the call is over.
pub struct Lent(pub(crate) Option<Batch>);

/// The tokenizer: nothing of the handle's own, the run has one.
pub struct CurrentTokenizer;
