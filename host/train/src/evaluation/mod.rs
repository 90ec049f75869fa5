//! What a model does on rows it does not learn from: metrics, loss, predictions.

pub(crate) mod evaluate;
mod predict;

pub use evaluate::{Evaluation, evaluate};
pub use predict::{Prediction, predict};
