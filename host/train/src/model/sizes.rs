//! The keys that nearly every `config.json` has, read and checked in one way.

use super::ModelError;
use super::keys::Keys;

/// Sizes of a network, by the names of the keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Inner width of the feed-forward half.
    pub intermediate_size: usize,
    /// Standard deviation of new weights; 0.02 when nothing is said.
    pub initializer_range: f64,
}

impl Sizes {
    /// Of a family without grouped queries: as many key heads as query heads, which share the hidden width.
    ///
    /// # Errors
    /// Names the key that is missing, of another kind, or does not fit the others.
    pub fn read(keys: &Keys) -> Result<Self, ModelError> {
        let heads = keys.size("num_attention_heads")?;
        Self::of_heads(keys, heads, heads, None)
    }

    /// The same for a family whose `num_key_value_heads` and `head_dim` may say otherwise.
    ///
    /// # Errors
    /// Those of [`Sizes::read`].
    pub fn read_grouped(keys: &Keys) -> Result<Self, ModelError> {
        let heads = keys.size("num_attention_heads")?;
        let kv_heads = keys.optional_size("num_key_value_heads")?.unwrap_or(heads);
        if heads == 0 || kv_heads == 0 || heads % kv_heads != 0 {
            let reason = format!("{kv_heads} does not divide num_attention_heads {heads}");
            return Err(keys.wrong("num_key_value_heads", reason));
        }
        Self::of_heads(keys, heads, kv_heads, keys.optional_size("head_dim")?)
    }

    fn of_heads(keys: &Keys, heads: usize, kv_heads: usize, width: Option<usize>) -> Result<Self, ModelError> {
        let hidden_size = keys.size("hidden_size")?;
        let head_dim = match width {
            Some(width) => width,
            None => keys.head_width(("num_attention_heads", heads), ("hidden_size", hidden_size))?,
        };
        Ok(Self {
            vocab_size: keys.size("vocab_size")?,
            hidden_size,
            num_hidden_layers: keys.blocks("num_hidden_layers")?,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim,
            intermediate_size: keys.size("intermediate_size")?,
            initializer_range: keys.positive("initializer_range")?.unwrap_or(0.02),
        })
    }
}
