//! Roles that need no plugin.
//!
//! They implement the same traits, are named in recipes the same way, and take
//! their settings as JSON of a strict type, so that a misspelt key is refused.
//!
//! | role | name | settings |
//! |---|---|---|
//! | loss | `cross-entropy` | none |
//! | metric | `accuracy` | none |
//! | metric | `perplexity` | none |
//! | policy | `thaw` | `layers`, `step` |
//! | preprocessor | `length-filter` | `field`, `min_chars`, `max_chars` |

mod accuracy;
mod cross_entropy;
mod length_filter;
mod perplexity;
mod thaw;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use accuracy::Accuracy;
pub use cross_entropy::CrossEntropy;
pub use length_filter::{LengthFilter, LengthFilterConfig};
pub use perplexity::Perplexity;
pub use thaw::{Thaw, ThawConfig};

use crate::{Batch, ErrorKind, Failure, Loss, Metric, Policy, Preprocessor, Refusal, RoleKind, TaskKind};
use retune_tensor::{AnyTensor, TensorError};

/// The settings of a role that has none.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoConfig {}

/// The names of the built-ins that can play `role`.
pub fn names(role: RoleKind) -> &'static [&'static str] {
    match role {
        RoleKind::Loss => &["cross-entropy"],
        RoleKind::Metric => &["accuracy", "perplexity"],
        RoleKind::Policy => &["thaw"],
        RoleKind::Preprocessor => &["length-filter"],
    }
}

/// The built-in loss called `name` for `task`.
///
/// # Errors
/// When there is none of that name, or the settings do not fit it.
pub fn loss(name: &str, config: &Value, task: TaskKind) -> Result<Box<dyn Loss>, Refusal> {
    match name {
        "cross-entropy" => {
            parse::<NoConfig>(name, config)?;
            Ok(Box::new(CrossEntropy::new(task)))
        }
        _ => Err(unknown(RoleKind::Loss, name)),
    }
}

/// The built-in metric called `name` for `task`.
///
/// # Errors
/// When there is none of that name, it does not fit the task, or the settings
/// do not fit it.
pub fn metric(name: &str, config: &Value, task: TaskKind) -> Result<Box<dyn Metric>, Refusal> {
    match (name, task) {
        ("accuracy", _) => {
            parse::<NoConfig>(name, config)?;
            Ok(Box::new(Accuracy::new()))
        }
        ("perplexity", TaskKind::CausalLm) => {
            parse::<NoConfig>(name, config)?;
            Ok(Box::new(Perplexity::new()))
        }
        ("perplexity", TaskKind::SequenceClassification) => Err(Refusal::new(
            ErrorKind::Config,
            "metric `perplexity` is defined for tokens; sequence classification has `accuracy`",
        )),
        _ => Err(unknown(RoleKind::Metric, name)),
    }
}

/// The built-in policy called `name`.
///
/// # Errors
/// When there is none of that name, or the settings do not fit it.
pub fn policy(name: &str, config: &Value) -> Result<Box<dyn Policy>, Refusal> {
    match name {
        "thaw" => Ok(Box::new(Thaw::new(parse(name, config)?)?)),
        _ => Err(unknown(RoleKind::Policy, name)),
    }
}

/// The built-in preprocessor called `name`.
///
/// # Errors
/// When there is none of that name, or the settings do not fit it.
pub fn preprocessor(name: &str, config: &Value) -> Result<Box<dyn Preprocessor>, Refusal> {
    match name {
        "length-filter" => Ok(Box::new(LengthFilter::new(parse(name, config)?)?)),
        _ => Err(unknown(RoleKind::Preprocessor, name)),
    }
}

/// `config` as `T`; JSON null is the empty object.
fn parse<T: DeserializeOwned>(name: &str, config: &Value) -> Result<T, Refusal> {
    let config = if config.is_null() { Value::Object(serde_json::Map::new()) } else { config.clone() };
    serde_json::from_value(config)
        .map_err(|error| Refusal::new(ErrorKind::Config, format!("settings of built-in `{name}`: {error}")))
}

fn unknown(role: RoleKind, name: &str) -> Refusal {
    let known = names(role).join("`, `");
    Refusal::new(ErrorKind::Config, format!("there is no built-in {role} `{name}`; there is `{known}`"))
}

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
    use serde_json::json;

    use super::*;

    #[test]
    fn every_name_that_is_listed_can_be_made() {
        for name in names(RoleKind::Loss) {
            assert_eq!(loss(name, &json!({}), TaskKind::CausalLm).unwrap().name(), *name);
        }
        for name in names(RoleKind::Metric) {
            assert_eq!(metric(name, &Value::Null, TaskKind::CausalLm).unwrap().name(), *name);
        }
        for name in names(RoleKind::Policy) {
            assert_eq!(policy(name, &json!({"layers": "**", "step": 1})).unwrap().name(), *name);
        }
        for name in names(RoleKind::Preprocessor) {
            assert_eq!(preprocessor(name, &json!({"field": "text", "max_chars": 9})).unwrap().name(), *name);
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let refusal = metric("acuracy", &Value::Null, TaskKind::SequenceClassification).err().unwrap();
        assert_eq!(refusal.kind, ErrorKind::Config);
        assert_eq!(refusal.message, "there is no built-in metric `acuracy`; there is `accuracy`, `perplexity`");
    }

    #[test]
    fn a_misspelt_setting_is_refused_by_name() {
        let refusal = loss("cross-entropy", &json!({"gama": 1}), TaskKind::SequenceClassification).err().unwrap();
        assert!(refusal.message.contains("`cross-entropy`") && refusal.message.contains("gama"), "{refusal}");
        let refusal = policy("thaw", &json!({"layer": "**", "step": 1})).err().unwrap();
        assert!(refusal.message.contains("`layer`") && refusal.message.contains("`layers`"), "{refusal}");
    }

    #[test]
    fn perplexity_of_a_classifier_is_refused() {
        assert!(
            metric("perplexity", &Value::Null, TaskKind::SequenceClassification)
                .err()
                .unwrap()
                .message
                .contains("accuracy")
        );
    }
}
