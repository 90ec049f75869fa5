//! Metrics of what the model writes: numbers of their authors' own programs, to the last digit.
//!
//! Each computes a [`Score`] of one answer as a few sums; [`Scored`] is the metric around it. `tests/reference/text_metric_fixtures.py`
//! wrote what the programs say of a few hundred pairs, and the tests hold the metrics to it.

mod bleu;
mod exact_match;
mod gsm8k_answer;
mod porter;
mod rouge;
mod scored;
mod thirteen_a;
mod words;

#[cfg(test)]
mod fixtures;

pub use bleu::{Bleu, BleuConfig};
pub use exact_match::{ExactMatch, ExactMatchConfig};
pub use gsm8k_answer::Gsm8kAnswer;
pub use rouge::{Rouge, RougeConfig};
pub(super) use scored::{Score, Scored};
