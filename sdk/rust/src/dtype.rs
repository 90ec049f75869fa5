//! Element types.

use std::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Dtype {
    Float32,
    Float16,
    Bfloat16,
    Float64,
    Int64,
    Int32,
    Uint8,
    Boolean,
}

impl Dtype {
    /// One of the four floating-point types.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16 | Self::Bfloat16 | Self::Float64)
    }

    /// One of the three integer types.
    pub fn is_int(self) -> bool {
        matches!(self, Self::Int64 | Self::Int32 | Self::Uint8)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float64 => "float64",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Uint8 => "uint8",
            Self::Boolean => "boolean",
        })
    }
}
