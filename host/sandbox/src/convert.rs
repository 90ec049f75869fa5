//! What the host gives to a guest, where that is plain; what a guest gives is converted in [`crate::given`].

use retune_roles::{ErrorKind, Progress, Refusal};

use crate::bindings::host::types;

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

/// The rows of a batch, for a message: `train.csv:9, train.csv:2 and 6 more`.
pub(crate) fn rows(keys: &[String]) -> Option<String> {
    (!keys.is_empty()).then(|| retune_roles::text::rows(keys))
}
