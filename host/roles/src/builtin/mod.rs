//! Roles that need no plugin.
//!
//! They implement the same traits, are named in recipes the same way, and take
//! their settings as JSON of a strict type, so that a misspelt key is refused. [`table`] lists them.

mod accuracy;
mod binary_cross_entropy;
mod cross_entropy;
mod distance;
mod length_filter;
mod multi_label;
mod perplexity;
mod regression;
mod seqeval;
pub mod table;
mod texts;
mod thaw;

pub use accuracy::Accuracy;
pub use binary_cross_entropy::{BinaryCrossEntropy, BinaryCrossEntropyConfig, PosWeight};
pub use cross_entropy::CrossEntropy;
pub use distance::{Distance, HuberConfig};
pub use length_filter::{LengthFilter, LengthFilterConfig};
pub use multi_label::{MultiLabel, MultiLabelConfig};
pub use perplexity::Perplexity;
pub use regression::Regression;
pub use seqeval::Seqeval;
pub use table::{BUILTINS, Builtin, find, loss, metric, names, policy, preprocessor};
pub use texts::{BleuConfig, ExactMatchConfig, RougeConfig};
pub use thaw::{Thaw, ThawConfig};

use crate::{Batch, Failure, RoleKind};
use retune_tensor::{AnyTensor, TensorError};

/// A tensor the role said it wants.
fn input<'b>(batch: &'b Batch, who: &str, role: RoleKind, call: &str, name: &str) -> crate::Result<&'b AnyTensor> {
    batch.get(name).ok_or_else(|| Failure::new(who, role, call, format!("the batch has no tensor `{name}`")))
}

/// Turns a tensor operation's error into a failure of `who`.
fn failed<'a>(who: &'a str, role: RoleKind, call: &'a str) -> impl Fn(TensorError) -> Failure + 'a {
    move |error| Failure::new(who, role, call, error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{ErrorKind, TaskKind};

    /// A task that the built-in is for.
    fn task_of(name: &str) -> TaskKind {
        match name {
            "seqeval" => TaskKind::TokenClassification,
            "binary-cross-entropy" | "multi-label" => TaskKind::MultiLabelClassification,
            "mean-squared-error" | "mean-absolute-error" | "huber" | "regression" => TaskKind::Regression,
            _ => TaskKind::CausalLm,
        }
    }

    #[test]
    fn every_name_that_is_listed_can_be_made() {
        for name in names(RoleKind::Loss) {
            assert_eq!(loss(name, &json!({}), task_of(name)).unwrap().name(), name);
        }
        for name in names(RoleKind::Metric) {
            assert_eq!(metric(name, &Value::Null, task_of(name)).unwrap().name(), name);
        }
        for name in names(RoleKind::Policy) {
            assert_eq!(policy(name, &json!({"layers": "**", "step": 1})).unwrap().name(), name);
        }
        for name in names(RoleKind::Preprocessor) {
            assert_eq!(preprocessor(name, &json!({"fields": ["text"], "max_chars": 9})).unwrap().name(), name);
        }
    }

    #[test]
    fn every_row_of_the_table_has_a_sentence_and_a_schema_that_describes_each_setting() {
        for builtin in BUILTINS {
            assert!(builtin.about.ends_with('.'), "{}", builtin.name);
            let schema = (builtin.schema)();
            assert_eq!(schema["additionalProperties"], false, "{}: a misspelt setting is found", builtin.name);
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{}: {key}", builtin.name);
            }
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let refusal = metric("acuracy", &Value::Null, TaskKind::SequenceClassification).err().unwrap();
        assert_eq!(refusal.kind, ErrorKind::Config);
        assert_eq!(
            refusal.message,
            "there is no built-in metric `acuracy`; there is `accuracy`, `perplexity`, `seqeval`, `multi-label`, `regression`, `exact-match`, `bleu`, `rouge`, `gsm8k-answer`"
        );
    }

    #[test]
    fn a_misspelt_setting_is_refused_by_name() {
        let refusal = loss("cross-entropy", &json!({"gama": 1}), TaskKind::SequenceClassification).err().unwrap();
        assert!(refusal.message.contains("`cross-entropy`") && refusal.message.contains("gama"), "{refusal}");
        let refusal = policy("thaw", &json!({"layer": "**", "step": 1})).err().unwrap();
        assert!(refusal.message.contains("`layer`") && refusal.message.contains("`layers`"), "{refusal}");
    }

    #[test]
    fn a_metric_of_another_task_is_refused_with_the_one_there_is() {
        let refused = |name, task| metric(name, &Value::Null, task).err().unwrap().message;
        assert_eq!(
            refused("perplexity", TaskKind::SequenceClassification),
            "metric `perplexity` is defined for language models; sequence-classification has `accuracy`"
        );
        assert_eq!(
            refused("perplexity", TaskKind::TokenClassification),
            "metric `perplexity` is defined for language models; token-classification has `seqeval`"
        );
        assert_eq!(
            refused("seqeval", TaskKind::MaskedLm),
            "metric `seqeval` is defined for tags of words; masked-lm has `perplexity` and `accuracy`"
        );
        assert_eq!(
            refused("accuracy", TaskKind::Regression),
            "metric `accuracy` is defined for one label at a place; regression has `regression`"
        );
        assert_eq!(
            refused("multi-label", TaskKind::SequenceClassification),
            "metric `multi-label` is defined for several labels a row; sequence-classification has `accuracy`"
        );
        assert_eq!(
            refused("regression", TaskKind::MultiLabelClassification),
            "metric `regression` is defined for numbers; multi-label-classification has `multi-label`"
        );
    }

    #[test]
    fn a_loss_of_another_task_is_refused_with_the_one_there_is() {
        let refused = |name, task| loss(name, &Value::Null, task).err().unwrap().message;
        assert_eq!(
            refused("cross-entropy", TaskKind::MultiLabelClassification),
            "loss `cross-entropy` is defined for one label at a place; multi-label-classification has `binary-cross-entropy`"
        );
        assert_eq!(
            refused("binary-cross-entropy", TaskKind::SequenceClassification),
            "loss `binary-cross-entropy` is defined for several labels a row; sequence-classification has `cross-entropy`"
        );
        assert_eq!(
            refused("huber", TaskKind::CausalLm),
            "loss `huber` is defined for numbers; causal-lm has `cross-entropy`"
        );
    }

    #[test]
    fn a_metric_of_texts_is_refused_where_nothing_is_written() {
        let refusal = metric("bleu", &Value::Null, TaskKind::SequenceClassification).err().unwrap();
        assert_eq!(
            refusal.message,
            "metric `bleu` reads what the model writes, and a model for sequence-classification writes nothing; \
             causal-lm does"
        );
    }
}
