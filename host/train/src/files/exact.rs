//! Numbers that come back from a file bit for bit.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A float64 that survives JSON bit for bit, infinities and NaN included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Exact(pub f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom(format!("`{text}` is not a number")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive_json_bit_for_bit(bits: u64) {
            let number = Exact(f64::from_bits(bits));
            let back: Exact = serde_json::from_str(&serde_json::to_string(&number).unwrap()).unwrap();
            prop_assert!(back.0.to_bits() == bits || (back.0.is_nan() && number.0.is_nan()));
        }
    }
}
