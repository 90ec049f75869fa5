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
    /// The same without the shift (ModernBERT).
    Unshifted {
        /// Added to the variance.
        epsilon: f64,
    },
    /// Root mean square one, then scale (Zhang and Sennrich 2019).
    Rms {
        /// Added to the mean square.
        epsilon: f64,
    },
    /// The same with a scale of one plus the parameter, which starts at zero (Gemma).
    RmsPlusOne {
        /// Added to the mean square.
        epsilon: f64,
    },
}

/// Where a block's norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// `x + f(norm(x))`: before attention and before the feed-forward half (Llama).
    Before,
    /// `norm(x + f(x))`: after each (BERT).
    After,
    /// `x + norm(f(x))`: of what each adds (OLMo 2).
    OfOutput,
    /// `x + second(f(norm(x)))`: before each, and of what it adds (Gemma 2).
    Around {
        /// The norm of what attention adds.
        attention: &'static str,
        /// The norm of what the feed-forward half adds.
        feed_forward: &'static str,
    },
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
    /// The first block has no norm before its attention, because the embeddings have one (ModernBERT).
    pub first_unnormed: bool,
    /// Matrices of the blocks are stored `[in, out]`, the other way round than elsewhere (GPT-2).
    pub transposed: bool,
    /// The first half of a block.
    pub attention: AttentionShape,
    /// The second half of a block.
    pub feed_forward: FeedForwardShape,
    /// Dropout of what attention and the feed-forward half add to the residual stream.
    pub dropout: [f64; 2],
    /// A norm after the last block, where there is one.
    pub last_norm: Option<&'static str>,
    /// How a row is classified.
    pub classifier: ClassifierShape,
    /// How the next token is predicted; `None` for models that see both sides of a token.
    pub language_head: Option<LanguageHeadShape>,
    /// How words are labelled; `None` where transformers has no class for it.
    pub token_classifier: Option<TokenClassifierShape>,
    /// How hidden tokens are found; `None` for models that see only what is before a token.
    pub masked_head: Option<MaskedHeadShape>,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

impl Shape {
    /// About as many scalars as the network has, without its head; no single tensor has more.
    pub(super) fn weights(&self) -> u128 {
        let attention = &self.attention;
        let [hidden, inner, heads, key_heads, head_dim] = [
            self.hidden_size,
            self.feed_forward.intermediate_size,
            attention.num_attention_heads,
            attention.num_key_value_heads,
            attention.head_dim,
        ]
        .map(|size| size as u128);
        let positions = self.embeddings.positions.map_or(0, |_| self.max_position_embeddings);
        let segments = self.embeddings.segments.map_or(0, |(_, count)| count);
        let rows = [self.vocab_size, positions, segments].map(|rows| rows as u128).iter().sum::<u128>();
        let block = 2 * (heads + key_heads) * head_dim * hidden + 3 * inner * hidden;
        rows * hidden + self.num_hidden_layers as u128 * block
    }

    /// The longest row that the model takes, in tokens.
    pub fn longest_row(&self) -> usize {
        let scaled = self.attention.rotary.iter().flatten().filter_map(Rotary::longest_row).max();
        let unused = self.embeddings.positions_after.map_or(0, |padding| padding as usize + 1);
        scaled.unwrap_or(self.max_position_embeddings).saturating_sub(unused)
    }
}

/// Tokens, and what is added to them.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddingsShape {
    /// The layer's name.
    pub layer: &'static str,
    /// The token table.
    pub tokens: &'static str,
    /// What rows of the token table are multiplied by, where it is not one.
    pub scale: Option<f64>,
    /// A table of learned positions, [`Shape::max_position_embeddings`] of them.
    pub positions: Option<&'static str>,
    /// Positions count the tokens that are not this padding token, and begin behind its id; its own is its id, and
    /// learns nothing (RoBERTa).
    pub positions_after: Option<u32>,
    /// The padding token's row learns from where it is read, as any other does (GPT-2).
    pub padding_learns: bool,
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
    pub projections: Projections,
    /// The projection back to the residual stream.
    pub output: &'static str,
    /// The norm that belongs to it.
    pub norm: &'static str,
    /// Norms of queries and keys, before positions turn them.
    pub query_key_norms: Option<QueryKeyNorms>,
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
    /// For each block its positions by rotation; `None`, or a list that ends before it: without.
    pub rotary: Vec<Option<Rotary>>,
    /// What scores are multiplied by; `None`: one over the root of the head's width.
    pub scale: Option<f64>,
    /// Scores of block `i` are divided by `i + 1` as well (a setting of GPT-2).
    pub scale_by_depth: bool,
    /// Scores become `cap tanh(score / cap)` (Gemma 2).
    pub soft_cap: Option<f64>,
    /// For each block the tokens that one sees, itself included; `None`, or a list that ends before it: all.
    pub windows: Vec<Option<usize>>,
    /// Dropout of the probabilities.
    pub dropout: f64,
}

/// Query, key and value projection of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projections {
    /// One each.
    Apart([&'static str; 3]),
    /// One for all: queries, then keys, then values (Phi-3).
    Fused(&'static str),
}

/// Norms of queries and of keys, and what each goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKeyNorms {
    /// Each head by itself (Qwen 3).
    Heads([&'static str; 2]),
    /// All heads together (OLMo 2).
    Together([&'static str; 2]),
}

/// A second projection of the feed-forward half, through the non-linearity and multiplied with the other
/// (Shazeer 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// There is none: the projection itself goes through the non-linearity.
    None,
    /// A projection of this name.
    Apart(&'static str),
    /// The first half of what `up` gives (Phi-3).
    Fused,
}

/// The feed-forward half of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedForwardShape {
    /// The layer's name.
    pub layer: &'static str,
    /// The second projection.
    pub gate: Gate,
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
    /// Dropout of what goes back.
    pub dropout: f64,
}

/// What of a row is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first token.
    FirstToken,
    /// The last that is not the padding token.
    LastToken,
    /// The mean of all tokens.
    Mean,
}

/// A projection of what is classified, as wide as the residual stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolerShape {
    /// The layer's name.
    pub layer: &'static str,
    /// The projection.
    pub projection: &'static str,
    /// Both stand under the prefix of the base model.
    pub in_base: bool,
    /// Whether the projection has a bias.
    pub bias: bool,
    /// The non-linearity; `None`: tanh.
    pub activation: Option<Activation>,
    /// A norm of the result.
    pub norm: Option<&'static str>,
    /// The classifier's dropout falls on what the projection reads too (RoBERTa).
    pub dropout: bool,
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
    /// What is done to that before.
    pub pooler: Option<PoolerShape>,
    /// Dropout of what it reads.
    pub dropout: f64,
}

/// A head over the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LanguageHeadShape {
    /// The projection, without any prefix.
    pub name: &'static str,
    /// It is the token table.
    pub tied: bool,
    /// Logits become `cap tanh(logit / cap)` (Gemma 2).
    pub soft_cap: Option<f64>,
}

/// A head over classes at every token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenClassifierShape {
    /// The projection, without any prefix.
    pub name: &'static str,
    /// Whether it has a bias.
    pub bias: bool,
    /// What is done to a hidden state before.
    pub transform: Option<PoolerShape>,
    /// Dropout of what the projection reads.
    pub dropout: f64,
}

/// A head over the vocabulary that finds hidden tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskedHeadShape {
    /// What is done to a hidden state before.
    pub transform: PoolerShape,
    /// The layer of the projection; it may be that of the transform.
    pub layer: &'static str,
    /// The projection, without any prefix.
    pub name: &'static str,
    /// It is the token table.
    pub tied: bool,
    /// The name of its bias, where it has one: when it is tied, and when it is not.
    pub bias: Option<[&'static str; 2]>,
}
