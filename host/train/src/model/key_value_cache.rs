//! What a model keeps of tokens it has read: their keys and values in every block, so that the next token costs one token.

use super::nn::Stored;

/// Keys and values of the tokens of one document, for one model and its present weights. Price: 8 bytes for each component of each
/// key head, in each block, a token; memory grows by halves.
#[derive(Clone, Debug, Default)]
pub struct KeyValueCache {
    blocks: Vec<Stored>,
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
        self.blocks.clear();
    }

    /// Forgets all tokens but the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.blocks.iter_mut().for_each(|block| block.truncate(count));
    }

    /// Of block `index`.
    pub(super) fn block(&mut self, index: usize) -> &mut Stored {
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, Stored::default);
        }
        &mut self.blocks[index]
    }
}
