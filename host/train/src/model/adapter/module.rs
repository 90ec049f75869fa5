//! Modules that an adapter can sit beside, and the adapters that do.

/// What a module computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A projection inside the network.
    Linear,
    /// The projection to the vocabulary; `all-linear` leaves it out.
    OutputHead,
    /// A table of embeddings.
    Table,
}

/// A module with a matrix of its own, or with another one's: tied embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The name that its parameters share: `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// What it computes.
    pub kind: ModuleKind,
    /// Features it reads; rows, of a table.
    pub input: usize,
    /// Features it gives.
    pub output: usize,
    /// Its matrix is stored `[in, out]`.
    pub transposed: bool,
}

/// An adapter in its place: indices among the model's parameters, and what is computed with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// Index of the module among [`Model::modules`](crate::model::Model::modules).
    pub module: usize,
    /// The matrix that it adapts.
    pub weight: usize,
    /// `lora_A.weight` `[r, in]`; of a table `lora_embedding_A` `[r, rows]`.
    pub a: usize,
    /// `lora_B.weight` `[out, r]`; of a table `lora_embedding_B` `[out, r]`.
    pub b: usize,
    /// `lora_magnitude_vector` `[out]`: DoRA.
    pub magnitude: Option<usize>,
    /// A and B as they began, when that is taken off the base: they never change.
    pub start: Option<[usize; 2]>,
    /// Rank.
    pub r: usize,
    /// As the specification says for this module.
    pub lora_alpha: f64,
    /// What `A` and `B` together are multiplied by.
    pub scale: f64,
    /// The matrix is stored `[in, out]`.
    pub transposed: bool,
    /// Probability with which a value that A reads drops out.
    pub(in crate::model) dropout: f64,
    /// Which dropout of the model that is.
    pub(in crate::model) site: u64,
}
