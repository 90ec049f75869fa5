//! What a model does on rows it does not learn from: metrics, loss, predictions.

pub(crate) mod answers;
mod confusion;
pub(crate) mod evaluate;
mod generated;
pub(crate) mod names;
mod predict;

pub use answers::{Asking, Writer};
pub use confusion::Confusion;
pub use evaluate::{Evaluation, HeldOut, evaluate};
pub use generated::Generated;
pub use predict::{Prediction, Scores, TaggedWord, Tagging, predict, predict_scores, predict_tags};
