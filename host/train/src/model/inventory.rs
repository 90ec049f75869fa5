//! What a model consists of, before anything is allocated.
//!
//! An architecture walks its blocks once and writes down every parameter (name,
//! shape, how it starts) and every layer. Modules hold the indices they were given.
//! Invariants: names are unique; each parameter belongs to exactly one layer, the
//! one last opened; layers come in depth order.

use retune_roles::{Layer, LayerKind};

use super::adapter::InitLoraWeights;
use super::adapter::module::{Module, ModuleKind, Placed};
use super::adapter::placements::Placements;

/// Sites of the dropouts of adapters begin here: one for each module, whether it has an adapter or not, so that a module
/// drops the same whatever others have.
const ADAPTERS: u64 = 1 << 32;

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
    /// Uniform from minus to plus so much: A of an adapter.
    Within(f64),
    /// Normal with a deviation of its own: A of an adapter, B of a table's.
    NormalOf(f64),
    /// A part of the matrix that an adapter sits beside, once that is there: A and B of one that starts so.
    Principal,
    /// The lengths of the rows of a matrix `[out, in]`, or `[in, out]`: magnitudes.
    RowNorms {
        /// The matrix.
        of: usize,
        /// Stored `[in, out]`.
        transposed: bool,
    },
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
    /// It belongs to an adapter: no checkpoint of a base model has it.
    pub(super) adapter: bool,
}

/// All parameters and layers of a model to be.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) entries: Vec<Entry>,
    pub(super) layers: Vec<Layer>,
    /// What an adapter can sit beside.
    pub(super) modules: Vec<Module>,
    /// Those that do.
    pub(super) placed: Vec<Placed>,
    placements: Placements,
}

impl Inventory {
    /// Of a model with adapters.
    pub(super) fn with(placements: Placements) -> Self {
        Self { placements, ..Self::default() }
    }

    /// Whether the parameter called `name` is trained whole beside the adapters.
    pub(super) fn is_whole(&self, name: &str) -> bool {
        self.placements.is_whole(name)
    }

    /// Whether an adapter sits beside the module called `name`.
    pub(super) fn adapts(&self, name: &str) -> bool {
        self.placements.get(name).is_some()
    }

    /// Writes down a module whose matrix is the entry `weight`, and its adapter where it has one.
    pub(super) fn module(&mut self, module: Module, weight: usize) -> Option<Placed> {
        let (name, number) = (module.name.clone(), self.modules.len());
        let Module { kind, input, output, transposed, .. } = module;
        self.modules.push(module);
        let placement = self.placements.get(&name)?;
        let r = placement.r;
        let (down, up, starts) = match kind {
            ModuleKind::Table => ("lora_embedding_A", "lora_embedding_B", [Start::Zeros, Start::NormalOf(1.0)]),
            ModuleKind::Linear | ModuleKind::OutputHead => {
                let starts = match placement.start {
                    InitLoraWeights::KaimingUniform => [Start::Within(1.0 / (input as f64).sqrt()), Start::Zeros],
                    InitLoraWeights::Gaussian => [Start::NormalOf(1.0 / r as f64), Start::Zeros],
                    InitLoraWeights::Pissa | InitLoraWeights::PissaNiter(_) => [Start::Principal; 2],
                };
                ("lora_A.weight", "lora_B.weight", starts)
            }
        };
        let mut add = |called: &str, shape, start| {
            let index = self.add(format!("{name}.{called}"), shape, start);
            self.entries[index].adapter = true;
            index
        };
        let (a, b) = (add(down, vec![r, input], starts[0]), add(up, vec![output, r], starts[1]));
        let magnitude = placement
            .dora
            .then(|| add("lora_magnitude_vector", vec![output], Start::RowNorms { of: weight, transposed }));
        let start = (starts == [Start::Principal; 2]).then(|| {
            let a = add("lora_A_start.weight", vec![r, input], Start::Principal);
            [a, add("lora_B_start.weight", vec![output, r], Start::Principal)]
        });
        let placed = Placed {
            module: number,
            weight,
            a,
            b,
            magnitude,
            start,
            r,
            lora_alpha: placement.lora_alpha,
            scale: placement.scale,
            transposed,
            dropout: placement.dropout,
            site: ADAPTERS + number as u64,
        };
        self.placed.push(placed);
        Some(placed)
    }

    /// Opens a layer: the entries that follow belong to it.
    pub(super) fn layer(&mut self, name: impl Into<String>, depth: usize, kind: LayerKind) {
        self.layers.push(Layer { name: name.into(), depth: depth as u32, kind, parameters: 0, trainable: true });
    }

    fn add(&mut self, name: String, shape: Vec<usize>, start: Start) -> usize {
        let layer = self.layers.len() - 1;
        self.layers[layer].parameters += shape.iter().map(|n| *n as u64).product::<u64>();
        let head = self.layers[layer].kind == LayerKind::Head;
        self.entries.push(Entry { name, shape, start, layer, head, adapter: false });
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
