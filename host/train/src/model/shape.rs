//! What a network is made of, as a value: sizes, parts that are there or not, and their names.
//!
//! A family reads a `config.json` into one [`Shape`]; the network is built from it. What two families
//! share is therefore written once, and what sets one apart is seen in its own file.
//!
//! Names are those of the checkpoint below the base model's prefix (`encoder.layer`, not
//! `bert.encoder.layer`), those inside of a block below the block's; heads have none of these prefixes.

use super::rotary::Rotary;

/// The non-linearity of the feed-forward blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `gelu`: exact, with the error function.
    Gelu,
    /// `gelu_new`, `gelu_pytorch_tanh`: the tanh approximation.
    GeluTanh,
    /// `relu`.
    Relu,
    /// `silu`, `swish`.
    Silu,
}

/// Which normalisation, over the width of what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormShape {
    /// Mean zero and variance one, then scale and shift (Ba et al. 2016).
    Layer {
        /// Added to the variance.
        epsilon: f64,
    },
    /// Root mean square one, then scale (Zhang and Sennrich 2019).
    Rms {
        /// Added to the mean square.
        epsilon: f64,
    },
}

/// Where a block's two norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// `x + f(norm(x))`: before attention and before the feed-forward half (Llama).
    Before,
    /// `norm(x + f(x))`: after each (BERT).
    After,
}

/// A model without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Positions that the model was trained for; see [`Shape::longest_row`].
    pub max_position_embeddings: usize,
    /// What makes hidden states of tokens.
    pub embeddings: EmbeddingsShape,
    /// What the blocks are called: block 3 is `encoder.layer.3`.
    pub blocks: &'static str,
    /// The kind of all norms outside of attention heads.
    pub norm: NormShape,
    /// Where a block's norms stand.
    pub placement: NormPlacement,
    /// The first half of a block.
    pub attention: AttentionShape,
    /// The second half of a block.
    pub feed_forward: FeedForwardShape,
    /// Dropout of what both halves add to the residual stream.
    pub dropout: f64,
    /// A norm after the last block, where there is one.
    pub last_norm: Option<&'static str>,
    /// How a row is classified.
    pub classifier: ClassifierShape,
    /// How the next token is predicted; `None` for models that see both sides of a token.
    pub language_head: Option<LanguageHeadShape>,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

impl Shape {
    /// The longest row that the model takes, in tokens.
    pub fn longest_row(&self) -> usize {
        let rotary = self.attention.rotary.as_ref();
        rotary.and_then(Rotary::longest_row).unwrap_or(self.max_position_embeddings)
    }
}

/// Tokens, and what is added to them.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingsShape {
    /// The layer's name.
    pub layer: &'static str,
    /// The token table.
    pub tokens: &'static str,
    /// A table of learned positions, [`Shape::max_position_embeddings`] of them.
    pub positions: Option<&'static str>,
    /// A table of segments, and how many it has.
    pub segments: Option<(&'static str, usize)>,
    /// A norm of the sum.
    pub norm: Option<&'static str>,
    /// Dropout of the result.
    pub dropout: f64,
}

/// Attention: its heads, its projections and what they see.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionShape {
    /// The layer's name.
    pub layer: &'static str,
    /// Query, key and value projection.
    pub projections: [&'static str; 3],
    /// The projection back to the residual stream.
    pub output: &'static str,
    /// The norm that belongs to it.
    pub norm: &'static str,
    /// Norms of each query head and each key head, before positions turn them (Qwen 3).
    pub head_norms: Option<[&'static str; 2]>,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Whether query, key and value projections have biases.
    pub bias: bool,
    /// Whether the output projection has one.
    pub output_bias: bool,
    /// Whether a token sees only what is before it.
    pub causal: bool,
    /// Positions by rotation, where they are not learned.
    pub rotary: Option<Rotary>,
    /// For each block the tokens that one sees, itself included; `None`, or a list that ends before it: all.
    pub windows: Vec<Option<usize>>,
    /// Dropout of the probabilities.
    pub dropout: f64,
}

/// The feed-forward half of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedForwardShape {
    /// The layer's name.
    pub layer: &'static str,
    /// A second projection, through the non-linearity and multiplied with `up` (Shazeer 2020); without one, `up`
    /// itself goes through it.
    pub gate: Option<&'static str>,
    /// The projection to the inner width.
    pub up: &'static str,
    /// The projection back.
    pub down: &'static str,
    /// The norm that belongs to it.
    pub norm: &'static str,
    /// The inner width.
    pub intermediate_size: usize,
    /// Whether the projections have biases.
    pub bias: bool,
    /// The non-linearity.
    pub activation: Activation,
}

/// Which token a row is classified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first, through a projection and tanh.
    FirstToken {
        /// The layer's name.
        layer: &'static str,
        /// The projection.
        projection: &'static str,
    },
    /// The last that is not the padding token.
    LastToken,
}

/// A head over classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassifierShape {
    /// The projection, without any prefix.
    pub name: &'static str,
    /// Whether it has a bias.
    pub bias: bool,
    /// What it reads.
    pub pooling: Pooling,
    /// Dropout of what it reads.
    pub dropout: f64,
}

/// A head over the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanguageHeadShape {
    /// The projection, without any prefix.
    pub name: &'static str,
    /// It is the token table.
    pub tied: bool,
}
