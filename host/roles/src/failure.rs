//! How a role says that it could not do its work.
//!
//! Two layers. A [`Refusal`] is what a role itself answers (the contract's
//! `error` record). A [`Failure`] is what the host reports: who failed, in which
//! role and call, at which sample or step, why, and what to do next. A trap in a
//! plugin is a failure with no refusal inside.
//!
//! Whatever words a failure is made of, it holds them as lines fit for a message, each of bounded length: what a plugin
//! says, calls its functions or names its values comes out here, whoever put it into words.

use std::fmt;

use crate::caught::caught;
use crate::kind::RoleKind;
use crate::text::line;

/// Most characters of who, of a place, and of a frame of the guest.
const NAME: usize = 1_000;

/// Most characters of a reason, and of what to do next.
const SENTENCE: usize = 4_000;

/// Most frames of the guest.
const FRAMES: usize = 32;

/// Why a role refused, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The configuration is valid against its schema and still not usable.
    Config,
    /// The input breaks what the role promised to accept.
    Input,
    /// The host cannot do this here.
    Unsupported,
    /// Anything else.
    Internal,
}

/// What a role answers in place of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class of the failure.
    pub kind: ErrorKind,
    /// One sentence for a person, without a full stop.
    pub message: String,
    /// Outermost first: what was being done.
    pub context: Vec<String>,
}

impl Refusal {
    /// A refusal of `kind` with no context.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), context: Vec::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in &self.context {
            write!(f, "{context}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A call of a role that gave no result.
///
/// `Display` is the one-line summary; the command line prints [`Failure::backtrace`]
/// and [`Failure::help`] below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(Box<Details>);

/// What a [`Failure`] knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// Which plugin or built-in: `focal (plugins/focal.wasm)`.
    pub who: String,
    /// The role it was playing.
    pub role: RoleKind,
    /// The call: `compute`, `process`, `init`.
    pub call: String,
    /// The sample or step, when known: `sample train.csv:17`, `step 40`.
    pub place: Option<String>,
    /// One sentence without a full stop.
    pub reason: String,
    /// Frames of the guest, innermost first; empty for built-ins and refusals.
    pub backtrace: Vec<String>,
    /// What to do next.
    pub help: Option<String>,
}

impl Failure {
    /// A failure of `who` in `role`'s `call`.
    pub fn new(who: impl Into<String>, role: RoleKind, call: impl Into<String>, reason: impl Into<String>) -> Self {
        Self(Box::new(Details {
            who: line(&who.into(), NAME),
            role,
            call: line(&call.into(), NAME),
            place: None,
            reason: line(&reason.into(), SENTENCE),
            backtrace: Vec::new(),
            help: None,
        }))
    }

    /// Runs what an answer of `who` to `call` drives: its conversion, or carrying it out. A panic in it is a fault of the host's
    /// that the answer has found, and ends as a failure of that call.
    ///
    /// # Errors
    /// `work` panicked.
    pub fn guard<T>(who: &str, role: RoleKind, call: &str, work: impl FnOnce() -> T) -> Result<T, Self> {
        caught(work).map_err(|said| {
            Self::new(who, role, call, format!("the host failed over what it gave: {said}"))
                .help("this is a fault of retune: please report it, with the plugin and what it was given")
        })
    }

    /// Adds the sample or step, unless one is known already.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place.get_or_insert_with(|| line(&place.into(), NAME));
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(line(&help.into(), SENTENCE));
        self
    }

    /// Adds the guest's frames, innermost first.
    #[must_use]
    pub fn backtrace(mut self, frames: Vec<String>) -> Self {
        self.0.backtrace = frames.iter().take(FRAMES).map(|frame| line(frame, NAME)).collect();
        self
    }

    /// All that is known.
    pub fn details(&self) -> &Details {
        &self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { who, role, call, place, reason, .. } = &*self.0;
        write!(f, "{role} {who} failed in `{call}`")?;
        if let Some(place) = place {
            write!(f, " at {place}")?;
        }
        write!(f, ": {reason}")
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_host_over_an_answer_is_a_failure_of_the_call_that_gave_it() {
        assert_eq!(Failure::guard("thaw (t.wasm)", RoleKind::Policy, "decide", || 3), Ok(3));
        let over = |index: usize| Failure::guard("thaw (t.wasm)", RoleKind::Policy, "decide", || [1][index]);
        assert_eq!(
            over(1).unwrap_err().at("step 4").to_string(),
            "policy thaw (t.wasm) failed in `decide` at step 4: the host failed over what it gave: \
             index out of bounds: the len is 1 but the index is 1"
        );
    }

    #[test]
    fn whatever_a_failure_is_made_of_it_is_told_on_lines_of_bounded_length() {
        let forged = format!("no\nerror: forged\u{202e}{}", "x".repeat(1 << 20));
        let failure = Failure::new(&*forged, RoleKind::Loss, &*forged, &*forged);
        let failure = failure.at(&*forged).help(&*forged).backtrace(vec![forged; 100]);
        let text = failure.to_string();
        assert!(text.starts_with("loss no error: forged\u{fffd}xx") && text.chars().count() < 4 * SENTENCE, "{text}");
        assert!(crate::text::is_line(&text));
        assert_eq!(failure.details().backtrace.len(), FRAMES);
        assert!(failure.details().backtrace.iter().all(|frame| frame.chars().count() <= NAME + 1));
    }
}
