//! What is wrong with a configuration, as facts that whoever reports it can put into words.

use std::fmt;

use retune_roles::nearest::nearest;
use retune_roles::text::line;
use serde_json::Value;

/// Most alternatives that a sentence lists.
pub(crate) const SHOWN: usize = 20;

/// Most characters of a key or a value in a sentence.
const WORD: usize = 60;

/// One thing wrong with a configuration.
///
/// `Display` is one sentence that names the key.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigError {
    /// The keys that lead to the culprit, outermost first; list items by number.
    /// For an unknown or a missing key, the key itself is last.
    pub path: Vec<String>,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with the value at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The schema has no such key.
    UnknownKey {
        /// The keys there are.
        known: Vec<String>,
    },
    /// A key that must be there is not.
    MissingKey {
        /// What the schema says about it.
        about: Option<String>,
    },
    /// A string where a number should be.
    WrongType {
        /// The value.
        given: Value,
        /// In words: "a whole number".
        expected: String,
    },
    /// None of the values that are listed.
    NotAllowed {
        /// The value.
        given: Value,
        /// The values there are.
        allowed: Vec<Value>,
    },
    /// A number outside of its bounds.
    OutOfRange {
        /// The value.
        given: Value,
        /// In words: "at least 1", "more than 0 and less than 1".
        range: String,
    },
    /// A text that does not have the form it must have; empty where some text is needed.
    WrongForm {
        /// The value.
        given: Value,
    },
    /// Whatever else a schema can ask.
    Other {
        /// One sentence.
        message: String,
        /// The next step.
        help: Option<String>,
    },
}

impl ConfigError {
    /// One that concerns the whole configuration, or its schema.
    pub fn whole(message: impl Into<String>, help: Option<String>) -> Self {
        Self { path: Vec::new(), problem: Problem::Other { message: message.into(), help } }
    }

    /// Blames the plugin for what is wrong with a value that is not in `given`, and so is a default.
    pub(crate) fn blame_default(&mut self, given: &Value) {
        let whole = match self.problem {
            Problem::UnknownKey { .. } | Problem::MissingKey { .. } => self.path.len().saturating_sub(1),
            _ => self.path.len(),
        };
        let there = self.path[..whole].iter().try_fold(given, |value, key| match value {
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            other => other.get(key),
        });
        if there.is_none() {
            let message = format!("the default of the plugin does not fit its own schema: {self}");
            let help = "this is a fault of the plugin: tell its author; until then, set the key yourself";
            self.problem = Problem::Other { message, help: Some(help.to_owned()) };
        }
    }

    /// The path as people write it: `schedule.steps[2]`.
    pub fn shown_path(&self) -> String {
        shown(&self.path)
    }

    /// The key or the value that was probably meant.
    pub fn near(&self) -> Option<&str> {
        match &self.problem {
            Problem::UnknownKey { known } => nearest(self.path.last()?, known.iter().map(String::as_str)),
            Problem::NotAllowed { given, allowed } => {
                nearest(given.as_str()?, allowed.iter().filter_map(Value::as_str))
            }
            _ => None,
        }
    }

    /// The next step: the nearest key, or the allowed values.
    pub fn help(&self) -> Option<String> {
        match &self.problem {
            Problem::UnknownKey { known } if known.is_empty() => Some("this plugin takes no configuration".to_owned()),
            Problem::UnknownKey { known } => {
                let listed: Vec<String> =
                    known.iter().take(SHOWN).map(|key| format!("`{}`", line(key, WORD))).collect();
                let listed = listed.join(", ");
                Some(match self.near() {
                    Some(near) => format!("did you mean `{}`? The keys are {listed}", line(near, WORD)),
                    None => format!("the keys are {listed}"),
                })
            }
            Problem::NotAllowed { allowed, .. } if allowed.is_empty() => None,
            Problem::NotAllowed { allowed, .. } => {
                let listed = allowed.iter().take(SHOWN).map(exact).collect::<Vec<_>>().join(", ");
                Some(match self.near() {
                    Some(near) => format!("did you mean \"{}\"? The values are {listed}", line(near, WORD)),
                    None => format!("the values are {listed}"),
                })
            }
            Problem::MissingKey { about } => {
                let key = self.path.last()?;
                about.as_ref().map(|about| format!("`{}`: {about}", line(key, WORD)))
            }
            Problem::Other { help, .. } => help.clone(),
            Problem::WrongType { .. } | Problem::OutOfRange { .. } | Problem::WrongForm { .. } => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = line(&self.shown_path(), 300);
        let subject = if path.is_empty() { "the configuration".to_owned() } else { format!("`{path}`") };
        match &self.problem {
            Problem::UnknownKey { .. } => write!(f, "unknown key `{path}`"),
            Problem::MissingKey { .. } => write!(f, "the key `{path}` is missing and has no default"),
            Problem::WrongType { given, expected } => {
                // One of the lists, or tables, that it could be is told with what is in it, and so is this one.
                let alike =
                    (given.is_array() && expected.contains('[')) || (given.is_object() && expected.contains('{'));
                let shown = if alike { exact(given) } else { brief(given) };
                write!(f, "{subject} is {shown}, expected {}", line(expected, 300))
            }
            Problem::NotAllowed { given, allowed } => {
                // A list that is not the list it must be is told by what is in it.
                let alike = allowed.iter().any(|value| std::mem::discriminant(value) == std::mem::discriminant(given));
                let given = if alike { exact(given) } else { brief(given) };
                write!(f, "{subject} is {given}, which it cannot be")
            }
            Problem::OutOfRange { given, range } => write!(f, "{subject} is {}; it must be {range}", brief(given)),
            Problem::WrongForm { given } if given == "" => write!(f, "{subject} is empty"),
            Problem::WrongForm { given } => write!(f, "{subject} is {}, which does not have its form", brief(given)),
            Problem::Other { message, .. } if path.is_empty() => f.write_str(message),
            Problem::Other { message, .. } => write!(f, "{subject}: {message}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A value, short enough for a sentence.
pub(crate) fn brief(value: &Value) -> String {
    match value {
        Value::Object(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        Value::Null => "null".into(),
        other => line(&other.to_string(), WORD),
    }
}

/// A value that must be just this one: a list or a table with what is in it.
pub(crate) fn exact(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => line(&value.to_string(), WORD),
        other => brief(other),
    }
}

/// `["a", "0", "b"]` as `a[0].b`.
pub fn shown(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut shown, part| {
        match part.parse::<usize>() {
            Ok(index) => shown.push_str(&format!("[{index}]")),
            Err(_) if shown.is_empty() => shown.push_str(part),
            Err(_) => shown.push_str(&format!(".{part}")),
        }
        shown
    })
}
