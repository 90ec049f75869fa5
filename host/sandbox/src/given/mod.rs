//! Whatever a guest gives to the host, converted once, here.
//!
//! A guest gives texts, numbers, lists and bytes: what its functions return, the errors it answers with, lines for the log,
//! what it prints, the names of its functions. Nowhere else does any of it become a value of the host's own. What holds for
//! all of it afterwards:
//!
//! - *A text is one line.* Sentences ([`sentence`]) are cut, and lose ends of lines, control characters and what turns
//!   the direction of text; so nobody is shown a line that the host did not begin. Names ([`check_names`]) are keys, which
//!   cannot be changed: one that is empty, long, not such a line, or there twice is refused.
//! - *A list has a most*, and so have the bytes of a value, of a state and of a snapshot.
//! - *A number is one that means something where it goes*: not negative, finite, within what training can use.
//! - *A claim about the host's own things is true*: sources are rows of the batch, each row has one fate, promised fields
//!   and values are there.
//! - *A conversion ends*: in a value, or in a failure that names plugin, role, call and place. [`crate::instance::accepted`] makes it so of
//!   what is refused and of a panic alike; the instance lives on.
//!
//! What is left to the rooms that use it: whether a pattern matches a layer, whether a column is there, whether a loss is
//! finite. Price: one pass over names and numbers; texts and bytes are moved, not copied.

mod changes;
mod rows;
mod values;

pub(crate) use changes::{changes, policy_contract};
pub(crate) use rows::{finished, preprocessor_contract, processed};
pub(crate) use values::{described, measured};

use std::collections::HashSet;

use retune_roles::text::{is_line, line};
use retune_roles::{ErrorKind, InputSpec, Refusal};

use crate::bindings::host::{batch, types};

/// Longest name of a field, tensor, value or function, in characters.
pub(crate) const NAME: usize = 128;

/// Longest sentence a guest may put into a message, in characters.
pub(crate) const SENTENCE: usize = 1_000;

/// Longest schema, in bytes.
const SCHEMA: usize = 256 << 10;

/// Most fields of a line of the log, and the longest name and value of one.
const LOGGED: (usize, usize, usize) = (16, 64, 256);

/// Most sentences of context that an error brings.
const CONTEXT: usize = 8;

/// Why something that a guest gave is not taken.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused {
    /// One sentence without a full stop.
    pub reason: String,
    /// The row it is about, where that is known.
    pub place: Option<String>,
    /// What to do next, where there is more to say than to tell the author.
    pub help: Option<&'static str>,
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Self { reason, place: None, help: None }
    }
}

impl Refused {
    pub(crate) fn at(mut self, place: impl Into<String>) -> Self {
        self.place.get_or_insert_with(|| place.into());
        self
    }
}

/// A sentence for a message.
pub(crate) fn sentence(text: &str) -> String {
    line(text.trim(), SENTENCE)
}

/// A line for the log: the message, then its fields.
pub(crate) fn log_line(message: &str, fields: &[(String, String)]) -> String {
    let (most, name, value) = LOGGED;
    let fields = fields.iter().take(most).map(|(key, said)| format!(" {}={}", line(key, name), line(said, value)));
    line(message, 2 * SENTENCE) + &fields.collect::<String>()
}

/// A guest's error.
pub(crate) fn refusal(error: types::Error) -> Refusal {
    Refusal {
        kind: match error.kind {
            types::ErrorKind::Config => ErrorKind::Config,
            types::ErrorKind::Input => ErrorKind::Input,
            types::ErrorKind::Unsupported => ErrorKind::Unsupported,
            types::ErrorKind::Internal => ErrorKind::Internal,
        },
        message: sentence(error.message.trim_end_matches('.')),
        context: error.context.iter().take(CONTEXT).map(|c| sentence(c)).collect(),
    }
}

/// A list of names that must be there, short, fit for a line, and each of them once.
/// Gives the reason against it otherwise; `what` is "a field", "a value".
pub(crate) fn check_names<'a>(
    names: impl IntoIterator<Item = &'a str>,
    what: &str,
    most: usize,
) -> Result<(), Refused> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(format!("{what} has an empty name").into());
        }
        if name.chars().nth(NAME).is_some() || !is_line(name) {
            return Err(format!(
                "{what} has a name that is longer than {NAME} characters or has control characters: `{}`",
                line(name, 40)
            )
            .into());
        }
        if !seen.insert(name) {
            return Err(format!("{what} is named `{name}` twice").into());
        }
        if seen.len() > most {
            return Err(format!("there are more than {most} names").into());
        }
    }
    Ok(())
}

/// What `wants` gave.
pub(crate) fn inputs(specs: Vec<batch::InputSpec>) -> Result<Vec<InputSpec>, Refused> {
    check_names(specs.iter().map(|s| s.name.as_str()), "an input", 64)?;
    Ok(specs.into_iter().map(|s| InputSpec { name: s.name, optional: s.optional }).collect())
}

/// What `config-schema` gave.
pub(crate) fn schema(text: &str) -> Result<serde_json::Value, Refused> {
    let wrong = |reason: String| Refused::from(format!("gave no JSON Schema: {reason}"));
    if text.len() > SCHEMA {
        return Err(wrong(format!("it is longer than {} KiB", SCHEMA >> 10)));
    }
    let schema = serde_json::from_str(text).map_err(|e| wrong(line(&e.to_string(), 300)))?;
    retune_schema::compile(&schema).map_err(wrong)?;
    retune_schema::affordable(&schema).map_err(|reason| format!("gave a JSON Schema that {reason}"))?;
    Ok(schema)
}

/// Bytes that the host keeps for the guest: `what` is "state" or "snapshot".
pub(crate) fn kept(bytes: Vec<u8>, most: usize, what: &str) -> Result<Vec<u8>, Refused> {
    match bytes.len() > most {
        true => Err(format!("its {what} is larger than {} MiB", most >> 20).into()),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_there_short_and_unique() {
        let checked =
            |names: &[&str]| check_names(names.iter().copied(), "a field", 2).map_err(|refused| refused.reason);
        assert!(checked(&["a", "b"]).is_ok());
        assert_eq!(checked(&["a", "a"]).unwrap_err(), "a field is named `a` twice");
        assert_eq!(checked(&[""]).unwrap_err(), "a field has an empty name");
        assert!(checked(&["a", "b", "c"]).is_err());
        assert!(checked(&["\n"]).is_err());
        assert!(checked(&["\u{202e}"]).is_err());
        assert!(checked(&["x".repeat(NAME + 1).as_str()]).is_err());
    }

    #[test]
    fn an_error_cannot_forge_a_line() {
        let error = types::Error {
            kind: types::ErrorKind::Input,
            message: "no\nerror: forged\u{1b}[2J.".into(),
            context: vec!["x\ny".into(); 100],
        };
        let refusal = refusal(error);
        assert_eq!(refusal.message, "no error: forged\u{fffd}[2J");
        assert_eq!(refusal.context, vec!["x y"; CONTEXT]);
    }

    proptest! {
        #[test]
        fn every_text_is_one_bounded_line_and_stays_it(text in "(?s).{0,60}", limit in 0usize..40) {
            for text in [text.clone(), text.repeat(40)] {
                let once = line(&text, limit);
                prop_assert!(is_line(&once) && once.chars().count() <= limit + 1, "{once:?}");
                prop_assert_eq!(&line(&once, limit), &once);
                let told = sentence(&text);
                prop_assert!(is_line(&told) && told.chars().count() <= SENTENCE + 1);
                prop_assert_eq!(&sentence(&told), &told);
                let logged = log_line(&text, &vec![(text.clone(), text.clone()); 40]);
                prop_assert!(is_line(&logged) && logged.chars().count() < 10_000);
                if check_names([text.as_str()], "a field", 1).is_ok() {
                    prop_assert_eq!(&line(&text, NAME), &text);
                }
            }
        }
    }
}
