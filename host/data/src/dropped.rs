//! Rows that went, by stage and reason.

use serde::{Deserialize, Serialize};

/// Rows that one stage dropped for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The stage: a preprocessor's name, or `tokenize`.
    pub stage: String,
    /// The stage's own code, or `filtered` when it gave none.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first few.
    pub keys: Vec<String>,
}
