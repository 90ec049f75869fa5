//! The keys of a JSON object, with types.
//!
//! A key that is absent and one that is `null` are the same; one of another type is
//! an error that names the file and the key.

use std::path::Path;

use serde_json::{Map, Value};

use super::ModelError;

/// Typed access with errors that name the key.
pub(super) struct Keys<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) path: &'a Path,
    /// The object it stands in; empty at the top.
    pub(super) within: &'static str,
}

impl Keys<'_> {
    pub(super) fn wrong(&self, key: &str, reason: impl Into<String>) -> ModelError {
        let key = if self.within.is_empty() { key.to_owned() } else { format!("{}.{key}", self.within) };
        ModelError::Config { path: self.path.to_owned(), key, reason: reason.into() }
    }

    fn typed<T>(&self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, ModelError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                read(value).map(Some).ok_or_else(|| self.wrong(key, format!("expected {expected}, found {value}")))
            }
        }
    }

    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        self.typed(key, "a whole number", |v| v.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    pub(super) fn size(&self, key: &str) -> Result<usize, ModelError> {
        self.optional_size(key)?.ok_or_else(|| self.wrong(key, "it is missing"))
    }

    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.typed(key, "a positive number", |v| v.as_f64().filter(|x| x.is_finite() && *x > 0.0))
    }

    pub(super) fn probability(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.typed(key, "a probability below 1", |v| v.as_f64().filter(|x| (0.0..1.0).contains(x)))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<String>, ModelError> {
        self.typed(key, "text", |v| v.as_str().map(str::to_owned))
    }

    /// Token ids; -1 stands for none in some configs.
    pub(super) fn token(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let id = self.typed(key, "a token id", |v| v.as_i64().filter(|n| *n >= -1 && *n <= i64::from(u32::MAX)))?;
        Ok(id.and_then(|n| u32::try_from(n).ok()))
    }

    pub(super) fn only(&self, key: &str, supported: &[&str]) -> Result<(), ModelError> {
        match self.string(key)? {
            Some(value) if !supported.contains(&value.as_str()) => {
                Err(self.wrong(key, format!("`{value}` is not supported; supported: {}", supported.join(", "))))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn must_be_off(&self, key: &str) -> Result<(), ModelError> {
        if self.flag(key)? == Some(true) {
            return Err(self.wrong(key, "true is not supported"));
        }
        Ok(())
    }
}
