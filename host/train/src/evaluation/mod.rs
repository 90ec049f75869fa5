//! What a model does on rows it does not learn from: metrics, loss, predictions.

mod confusion;
pub(crate) mod evaluate;
pub(crate) mod names;
mod predict;

pub use confusion::Confusion;
pub use evaluate::{Evaluation, evaluate};
pub use predict::{Prediction, TaggedWord, Tagging, predict, predict_tags};
