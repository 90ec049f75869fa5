//! What is wrong with a configuration.

use thiserror::Error;

/// A configuration that breaks its schema.
///
/// `Display` is one sentence that names the key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConfigError {
    /// The keys that lead to the culprit, outermost first; list items by number.
    /// For an unknown key, the key itself is last.
    pub path: Vec<String>,
    /// What is wrong: "unknown key `gama`".
    pub message: String,
    /// The nearest key, or the allowed values.
    pub help: Option<String>,
}

impl ConfigError {
    /// The path as people write it: `schedule.steps[2]`.
    pub fn shown_path(&self) -> String {
        shown(&self.path)
    }
}

/// `["a", "0", "b"]` as `a[0].b`.
pub(crate) fn shown(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut shown, part| {
        match part.parse::<usize>() {
            Ok(index) => shown.push_str(&format!("[{index}]")),
            Err(_) if shown.is_empty() => shown.push_str(part),
            Err(_) => shown.push_str(&format!(".{part}")),
        }
        shown
    })
}
