//! Between the contract's records and the roles' types, where both directions are
//! plain: errors, progress, names, input lists.

use retune_roles::text::shortened;
use retune_roles::{ErrorKind, InputSpec, Progress, Refusal};

use crate::bindings::host::{batch, types};

/// Longest name of a field, tensor, value or layer pattern, in characters.
pub(crate) const NAME: usize = 128;

/// Longest sentence a guest may put into a message.
pub(crate) const SENTENCE: usize = 1_000;

/// A guest's error.
pub(crate) fn refusal(error: types::Error) -> Refusal {
    Refusal {
        kind: match error.kind {
            types::ErrorKind::Config => ErrorKind::Config,
            types::ErrorKind::Input => ErrorKind::Input,
            types::ErrorKind::Unsupported => ErrorKind::Unsupported,
            types::ErrorKind::Internal => ErrorKind::Internal,
        },
        message: shortened(error.message.trim_end_matches('.'), SENTENCE),
        context: error.context.iter().take(8).map(|c| shortened(c, SENTENCE)).collect(),
    }
}

/// A host's refusal, for the guest.
pub(crate) fn error_of(refusal: Refusal) -> types::Error {
    types::Error {
        kind: match refusal.kind {
            ErrorKind::Config => types::ErrorKind::Config,
            ErrorKind::Input => types::ErrorKind::Input,
            ErrorKind::Unsupported => types::ErrorKind::Unsupported,
            ErrorKind::Internal => types::ErrorKind::Internal,
        },
        message: refusal.message,
        context: refusal.context,
    }
}

pub(crate) fn progress(at: &Progress) -> types::Progress {
    types::Progress { epoch: at.epoch, step: at.step, total_steps: at.total_steps }
}

/// A list of names that must be there, short, and each of them once.
/// Gives the reason against it otherwise; `what` is "a field", "a value".
pub(crate) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>, what: &str, most: usize) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(format!("{what} has an empty name"));
        }
        if name.chars().count() > NAME || name.chars().any(char::is_control) {
            return Err(format!(
                "{what} has a name that is longer than {NAME} characters or has control characters: `{}`",
                shortened(name, 40)
            ));
        }
        if !seen.insert(name) {
            return Err(format!("{what} is named `{name}` twice"));
        }
        if seen.len() > most {
            return Err(format!("there are more than {most} names"));
        }
    }
    Ok(())
}

/// What `wants` gave.
pub(crate) fn inputs(specs: Vec<batch::InputSpec>) -> Result<Vec<InputSpec>, String> {
    check_names(specs.iter().map(|s| s.name.as_str()), "an input", 64)?;
    Ok(specs.into_iter().map(|s| InputSpec { name: s.name, optional: s.optional }).collect())
}

/// The rows of a batch, for a message: `train.csv:9, train.csv:2 and 6 more`.
pub(crate) fn rows(keys: &[String]) -> Option<String> {
    (!keys.is_empty()).then(|| retune_roles::text::rows(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_there_short_and_unique() {
        assert!(check_names(["a", "b"], "a field", 2).is_ok());
        assert_eq!(check_names(["a", "a"], "a field", 2).unwrap_err(), "a field is named `a` twice");
        assert_eq!(check_names([""], "a field", 2).unwrap_err(), "a field has an empty name");
        assert!(check_names(["a", "b", "c"], "a field", 2).is_err());
        assert!(check_names(["\n"], "a field", 2).is_err());
        assert!(check_names(["x".repeat(NAME + 1).as_str()], "a field", 2).is_err());
    }
}
