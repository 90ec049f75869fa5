//! What a model keeps of tokens it has read: their keys and values in every block, so that the next token costs one token.

use super::nn::Stored;

/// Keys and values of the tokens of one document, for one model and its present weights. Price: 8 bytes for each component of each
/// key head, in each block, a token; memory grows by halves.
#[derive(Clone, Debug, Default)]
pub struct KeyValueCache {
    blocks: Vec<Stored>,
    /// The length of the document when its tokens were read last: where rotary positions depend on it, they are those of this length.
    length: usize,
}

impl KeyValueCache {
    /// How many tokens were read.
    pub fn tokens(&self) -> usize {
        self.blocks.first().map_or(0, Stored::len)
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.tokens() == 0
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets all tokens but the first `count`. They remain those of the document that they were read in: whether
    /// they hold in another one, [`Model::keeps`](super::Model::keeps) says.
    pub fn truncate(&mut self, count: usize) {
        self.blocks.iter_mut().for_each(|block| block.truncate(count));
    }

    /// The length of the document that the tokens were read in.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// All of the document was read.
    pub(super) fn reached(&mut self) {
        self.length = self.tokens();
    }

    /// Of block `index`.
    pub(super) fn block(&mut self, index: usize) -> &mut Stored {
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, Stored::default);
        }
        &mut self.blocks[index]
    }
}
