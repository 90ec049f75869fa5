//! Why a device cannot be used.

use std::fmt;

/// A device that cannot be had: what is missing, one sentence each, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError {
    pub(super) summary: String,
    pub(super) details: Vec<String>,
}

impl DeviceError {
    pub(super) fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), details: Vec::new() }
    }

    /// What could not be done.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Each missing thing with what to install.
    pub fn details(&self) -> &[String] {
        &self.details
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        for (i, detail) in self.details.iter().enumerate() {
            write!(f, "{}{detail}", if i == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for DeviceError {}
