//! Which parts of a model learn, and what of their inputs is kept for that.
//!
//! A half of a block is its attention or its feed-forward part. Where its own matrices learn, each keeps what it reads. An adapter
//! beside a fixed matrix keeps the same, once for all that read it; with dropout each keeps a copy of its own. On top of
//! that come `r` numbers a token, and with DoRA what is brought to a learnt length: the sum of both products, or with dropout
//! each of them.

use retune_roles::{Layer, LayerKind};

use super::super::adapter::{Module, ModuleKind, Placed};
use super::super::shape::{Gate, Projections, Shape};

/// Which parts of a model learn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learning {
    pub(super) embeddings: bool,
    /// Attention and feed-forward half of each block.
    pub(super) blocks: Vec<[Half; 2]>,
    pub(super) last_norm: bool,
    pub(super) head: bool,
    /// Rank of an adapter beside the output head.
    pub(super) head_rank: usize,
    /// Numbers that adapters beside other projections of the head keep, of each token or row.
    pub(super) head_beside: usize,
    /// Scalars of the largest matrix that DoRA makes `W + s B A` of.
    pub(super) dora: usize,
}

/// Of one half of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Half {
    /// Anything of it does.
    pub learns: bool,
    /// What the first projections read is kept.
    pub reads: bool,
    /// What the last projection reads is kept.
    pub returns: bool,
    /// Numbers that adapters keep beside that, of each token.
    pub beside: usize,
    /// An adapter sits before the non-linearity, which then is an operation of its own.
    pub parted: bool,
}

/// Seed and position of a line that drops units, as numbers.
pub(super) const DROPPED: usize = 4;

impl Learning {
    /// As the `trainable` of each layer says, of a model without an adapter.
    pub fn of(layers: &[Layer], shape: &Shape) -> Self {
        let mut learning = Self { blocks: vec![[Half::default(); 2]; shape.num_hidden_layers], ..Self::default() };
        let whole = Half { learns: true, reads: true, returns: true, ..Half::default() };
        for layer in layers.iter().filter(|layer| layer.trainable) {
            let block = (layer.depth as usize).checked_sub(1).and_then(|index| learning.blocks.get_mut(index));
            match (layer.kind, block) {
                (LayerKind::Attention, Some(block)) => block[0] = whole,
                (LayerKind::Mlp, Some(block)) => block[1] = whole,
                (LayerKind::Embedding, _) => learning.embeddings = true,
                (LayerKind::Head, _) => learning.head = true,
                _ => learning.last_norm = true,
            }
        }
        learning
    }

    /// The same with adapters beside `modules`, which are all that learns in the blocks.
    pub fn with_adapters(mut self, modules: &[Module], placed: &[Placed], shape: &Shape) -> Self {
        for half in self.blocks.iter_mut().flatten() {
            (half.reads, half.returns) = (false, false);
        }
        for placed in placed {
            let Some(module) = modules.get(placed.module) else { continue };
            let drops = placed.dropout > 0.0;
            let mut beside = placed.r + if drops { module.input + DROPPED } else { 0 };
            if placed.magnitude.is_some() {
                beside += if drops { 2 } else { 1 } * module.output;
                self.dora = self.dora.max(module.input * module.output);
            }
            match (module.kind, placed_in(&module.name, shape)) {
                (ModuleKind::Linear, Some((block, half, returns))) => {
                    let Some(half) = self.blocks.get_mut(block).map(|block| &mut block[half]) else { continue };
                    half.learns = true;
                    half.beside += beside;
                    half.returns |= returns && !drops;
                    half.reads |= !returns && !drops;
                    half.parted |= !returns;
                }
                (ModuleKind::Linear, None) => self.head_beside += beside,
                (ModuleKind::OutputHead, _) => self.head_rank = placed.r,
                (ModuleKind::Table, _) => self.embeddings = true,
            }
        }
        self
    }
}

/// Block and half of the module called `name`, and whether it is the half's last projection.
fn placed_in(name: &str, shape: &Shape) -> Option<(usize, usize, bool)> {
    let (_, inside) = name.split_once(&format!("{}.", shape.blocks))?;
    let (block, inside) = inside.split_once('.')?;
    let block = block.parse().ok()?;
    let inward = match shape.attention.projections {
        Projections::Apart(names) => names.contains(&inside),
        Projections::Fused(name) => name == inside,
    };
    let feed = &shape.feed_forward;
    let gate = matches!(feed.gate, Gate::Apart(gate) if gate == inside);
    if inward || inside == shape.attention.output {
        Some((block, 0, !inward))
    } else if gate || inside == feed.up || inside == feed.down {
        Some((block, 1, inside == feed.down))
    } else {
        None
    }
}
