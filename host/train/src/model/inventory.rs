//! What a model consists of, before anything is allocated.
//!
//! An architecture walks its blocks once and writes down every parameter (name,
//! shape, how it starts) and every layer. Modules hold the indices they were given.
//! Invariants: names are unique; each parameter belongs to exactly one layer, the
//! one last opened; layers come in depth order.

use retune_roles::{Layer, LayerKind};

/// How a new parameter starts, as the Hugging Face models do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// Normal with the config's `initializer_range`.
    Normal,
    /// Normal, with the row of the padding token zero.
    Embedding {
        /// The row that stays zero.
        padding: Option<u32>,
    },
    /// The same of a matrix that is stored `[in, out]`.
    NormalTransposed,
    /// Biases, and scales that are added to one.
    Zeros,
    /// Norms.
    Ones,
}

/// A parameter to be.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) start: Start,
    pub(super) layer: usize,
    /// A checkpoint of the base model need not have it.
    pub(super) head: bool,
}

/// All parameters and layers of a model to be.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) entries: Vec<Entry>,
    pub(super) layers: Vec<Layer>,
}

impl Inventory {
    /// Opens a layer: the entries that follow belong to it.
    pub(super) fn layer(&mut self, name: impl Into<String>, depth: usize, kind: LayerKind) {
        self.layers.push(Layer { name: name.into(), depth: depth as u32, kind, parameters: 0, trainable: true });
    }

    fn add(&mut self, name: String, shape: Vec<usize>, start: Start) -> usize {
        let layer = self.layers.len() - 1;
        self.layers[layer].parameters += shape.iter().map(|n| *n as u64).product::<u64>();
        let head = self.layers[layer].kind == LayerKind::Head;
        self.entries.push(Entry { name, shape, start, layer, head });
        self.entries.len() - 1
    }

    /// `[out, in]`, normal.
    pub(super) fn matrix(&mut self, name: impl Into<String>, out: usize, input: usize) -> usize {
        self.add(name.into(), vec![out, input], Start::Normal)
    }

    /// `[in, out]`, normal.
    pub(super) fn transposed_matrix(&mut self, name: impl Into<String>, out: usize, input: usize) -> usize {
        self.add(name.into(), vec![input, out], Start::NormalTransposed)
    }

    /// `[rows, width]`, normal but for the padding row.
    pub(super) fn table(&mut self, name: impl Into<String>, rows: usize, width: usize, padding: Option<u32>) -> usize {
        self.add(name.into(), vec![rows, width], Start::Embedding { padding })
    }

    /// `[width]`, zeros.
    pub(super) fn bias(&mut self, name: impl Into<String>, width: usize) -> usize {
        self.add(name.into(), vec![width], Start::Zeros)
    }

    /// `[width]`, zeros: a scale less one.
    pub(super) fn added_scale(&mut self, name: impl Into<String>, width: usize) -> usize {
        self.add(name.into(), vec![width], Start::Zeros)
    }

    /// `[width]`, ones.
    pub(super) fn scale(&mut self, name: impl Into<String>, width: usize) -> usize {
        self.add(name.into(), vec![width], Start::Ones)
    }
}
