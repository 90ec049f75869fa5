//! State as bytes: what checkpoints keep and metrics merge.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A plugin whose decisions depend on what it has seen. Its state travels in
/// checkpoints, so that a run that is killed and resumed decides as one that was not.
pub trait Checkpoint {
    /// The state as bytes; [`encode`] makes them from any serde type.
    ///
    /// # Errors
    /// When the state cannot be written.
    fn save(&mut self) -> Result<Vec<u8>>;

    /// Restores what [`Checkpoint::save`] gave, after `new` and before the next call. A loss is
    /// also given its own state back after each validation in the course of a run.
    ///
    /// # Errors
    /// When these are not such bytes.
    fn load(&mut self, state: &[u8]) -> Result<()>;
}

/// A value as JSON bytes.
///
/// # Errors
/// When JSON has no such value: a map with keys that are not strings.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::internal(error.to_string()).context("writing the state"))
}

/// The value [`encode`] wrote.
///
/// # Errors
/// When `bytes` are something else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::input(format!("the saved state does not belong to this plugin: {error}")).context("reading the state")
    })
}

/// `#[serde(with = "retune_sdk::state::exact")]` for an `f64`: every bit
/// survives, infinities and NaN included, which plain JSON numbers do not promise.
pub mod exact {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the bits.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    /// Reads the bits.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    struct Sum(#[serde(with = "exact")] f64);

    #[test]
    fn every_float_survives_encoding() {
        for value in [0.1 + 0.2, f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE, 1.0 / 3.0] {
            let back: Sum = decode(&encode(&Sum(value)).unwrap()).unwrap();
            assert_eq!(back.0.to_bits(), value.to_bits());
        }
    }

    #[test]
    fn bytes_of_another_plugin_are_refused() {
        let error = decode::<Sum>(b"not json").map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("reading the state: the saved state does not belong to this plugin"));
    }
}
