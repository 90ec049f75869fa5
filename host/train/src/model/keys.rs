//! The keys of a JSON object, with types.
//!
//! A key that is absent and one that is `null` are the same; one of another type is
//! an error that names the file and the key.

use std::path::Path;

use serde_json::{Map, Value};

use retune_roles::text::shortened;

use super::ModelError;

/// Larger than any width, count or length of a network: products of two fit into 64 bits.
const LARGEST: u64 = i32::MAX as u64;

/// More blocks than any network has; every block is written down before the weights are looked at.
const MOST_BLOCKS: usize = 4096;

/// More numbers than any list has: a factor for each pair of a head.
const LONGEST_LIST: usize = 4096;

/// The most characters that are told of a value.
const TOLD: usize = 60;

/// The most characters of a reason.
const SAID: usize = 1000;

/// Typed access with errors that name the key.
pub struct Keys<'a> {
    /// The object.
    pub map: &'a Map<String, Value>,
    /// The file it is in, for messages.
    pub path: &'a Path,
    /// The object it stands in; empty at the top.
    pub within: &'static str,
}

impl Keys<'_> {
    /// An error that names file and key.
    pub fn wrong(&self, key: &str, reason: impl Into<String>) -> ModelError {
        let key = if self.within.is_empty() { key.to_owned() } else { format!("{}.{key}", self.within) };
        // Both may quote the file.
        let (key, reason) = (shortened(&key, 2 * TOLD), shortened(&reason.into(), SAID));
        ModelError::Config { path: self.path.to_owned(), key, reason }
    }

    /// A value in a message; what is large is not written out.
    pub(crate) fn found(value: &Value) -> String {
        match value {
            Value::Array(list) => format!("a list of {}", list.len()),
            Value::Object(map) => format!("an object of {}", map.len()),
            Value::String(text) => Value::String(shortened(text, TOLD)).to_string(),
            other => shortened(&other.to_string(), TOLD),
        }
    }

    fn typed<T>(&self, key: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, ModelError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.wrong(key, format!("expected {expected}, found {}", Self::found(value)))),
        }
    }

    /// A whole number below two to the 31.
    ///
    /// # Errors
    /// When it is of another kind, or larger.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>, ModelError> {
        match self.typed(key, "a whole number", Value::as_u64)? {
            Some(size) if size > LARGEST => Err(self.above(key, size, LARGEST)),
            size => Ok(size.map(|size| size as usize)),
        }
    }

    fn above(&self, key: &str, found: u64, most: u64) -> ModelError {
        self.wrong(key, format!("{found} is more than any model has, expected at most {most}"))
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn size(&self, key: &str) -> Result<usize, ModelError> {
        self.optional_size(key)?.ok_or_else(|| self.wrong(key, "it is missing"))
    }

    /// How many blocks there are, which must be said.
    ///
    /// # Errors
    /// When it is of another kind, zero, or more than any network has.
    pub fn blocks(&self, key: &str) -> Result<usize, ModelError> {
        match self.size(key)? {
            0 => Err(self.wrong(key, "it must be positive")),
            count if count > MOST_BLOCKS => Err(self.above(key, count as u64, MOST_BLOCKS as u64)),
            count => Ok(count),
        }
    }

    /// A finite number above zero.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn positive(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.typed(key, "a positive number", |v| v.as_f64().filter(|x| x.is_finite() && *x > 0.0))
    }

    /// From zero to below one.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn probability(&self, key: &str) -> Result<Option<f64>, ModelError> {
        self.typed(key, "a probability below 1", |v| v.as_f64().filter(|x| (0.0..1.0).contains(x)))
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ModelError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// Text.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn string(&self, key: &str) -> Result<Option<String>, ModelError> {
        self.typed(key, "text", |v| v.as_str().map(str::to_owned))
    }

    /// Token ids; -1 stands for none in some configs.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn token(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let id = self.typed(key, "a token id", |v| v.as_i64().filter(|n| *n >= -1 && *n <= i64::from(u32::MAX)))?;
        Ok(id.and_then(|n| u32::try_from(n).ok()))
    }

    /// Texts.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, ModelError> {
        let text = |v: &Value| v.as_str().map(str::to_owned);
        self.typed(key, "a list of texts", |v| v.as_array()?.iter().map(text).collect())
    }

    /// Whole numbers.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn sizes(&self, key: &str) -> Result<Option<Vec<usize>>, ModelError> {
        let size = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
        self.typed(key, "a list of whole numbers", |v| v.as_array()?.iter().map(size).collect())
    }

    /// Finite numbers, 4,096 at most.
    ///
    /// # Errors
    /// When it is of another kind, or longer.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, ModelError> {
        let number = |v: &Value| v.as_f64().filter(|x| x.is_finite());
        match self
            .typed(key, "a list of numbers", |v| v.as_array()?.iter().map(number).collect::<Option<Vec<f64>>>())?
        {
            Some(list) if list.len() > LONGEST_LIST => {
                Err(self.wrong(key, format!("it has {} numbers, expected at most {LONGEST_LIST}", list.len())))
            }
            list => Ok(list),
        }
    }

    /// An object's own keys, which stand `within` it in messages.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn object(&self, key: &str, within: &'static str) -> Result<Option<Self>, ModelError> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { map, path: self.path, within })),
            Some(other) => Err(self.wrong(key, format!("expected an object, found {}", Self::found(other)))),
        }
    }

    /// The width of each of the heads that share the hidden width; both with the key that says it.
    ///
    /// # Errors
    /// When they do not divide it.
    pub fn head_width(&self, heads: (&str, usize), hidden: (&str, usize)) -> Result<usize, ModelError> {
        if heads.1 > 0 && hidden.1.is_multiple_of(heads.1) {
            return Ok(hidden.1 / heads.1);
        }
        Err(self.wrong(heads.0, format!("{} heads do not divide {} {}", heads.1, hidden.0, hidden.1)))
    }

    /// What the text stands for in `table`.
    ///
    /// # Errors
    /// Names the key, what it holds and what is supported.
    pub fn one_of<T: Copy>(&self, key: &str, table: &[(&str, T)]) -> Result<Option<T>, ModelError> {
        let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        self.only(key, &names)?;
        let found = self.string(key)?;
        Ok(found.and_then(|text| table.iter().find(|(name, _)| *name == text)).map(|(_, value)| *value))
    }

    /// Refuses text that is not among `supported`.
    ///
    /// # Errors
    /// Names the key and what it holds.
    pub fn only(&self, key: &str, supported: &[&str]) -> Result<(), ModelError> {
        match self.string(key)? {
            Some(value) if !supported.contains(&value.as_str()) => {
                let (value, supported) = (shortened(&value, TOLD), supported.join(", "));
                Err(self.wrong(key, format!("`{value}` is not supported; supported: {supported}")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses `true`.
    ///
    /// # Errors
    /// Names the key and what it holds.
    pub fn must_be_off(&self, key: &str) -> Result<(), ModelError> {
        if self.flag(key)? == Some(true) {
            return Err(self.wrong(key, "true is not supported"));
        }
        Ok(())
    }
}
