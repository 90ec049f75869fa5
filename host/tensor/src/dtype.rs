//! Element types, and which one two of them meet in.
//!
//! | | float16 | bfloat16 | float32 | float64 |
//! |---|---|---|---|---|
//! | **float16** | float16 | float32 | float32 | float64 |
//! | **bfloat16** | float32 | bfloat16 | float32 | float64 |
//!
//! An integer that meets a float becomes that float; two integers meet in the
//! wider. Booleans meet booleans only.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{BoolStore, DType, FloatDType, IntDType, Scalar};

use crate::error::{Result, ensure, fail};

/// The type of a tensor's elements.
///
/// Class labels and token ids are [`Dtype::Int64`] at the contract. burn's typed
/// API makes `i32` integers on the CPU by default; such a tensor shows as
/// [`Dtype::Int32`] here and is accepted wherever an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dtype {
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 half precision.
    Float16,
    /// The upper half of a float32.
    Bfloat16,
    /// IEEE 754 double precision.
    Float64,
    /// Signed, 64 bits: labels, ids, indices, counts.
    Int64,
    /// Signed, 32 bits.
    Int32,
    /// Unsigned, 8 bits.
    Uint8,
    /// True or false.
    Boolean,
}

/// The three families of element types, each with its own operations in burn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Float,
    Int,
    Bool,
}

impl Dtype {
    /// All types, in the contract's order.
    pub const ALL: [Self; 8] = [
        Self::Float32,
        Self::Float16,
        Self::Bfloat16,
        Self::Float64,
        Self::Int64,
        Self::Int32,
        Self::Uint8,
        Self::Boolean,
    ];

    /// The contract's spelling: `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Float64 => "float64",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Uint8 => "uint8",
            Self::Boolean => "boolean",
        }
    }

    /// Bytes an element takes.
    pub const fn size(self) -> u64 {
        match self {
            Self::Float64 | Self::Int64 => 8,
            Self::Float32 | Self::Int32 => 4,
            Self::Float16 | Self::Bfloat16 => 2,
            Self::Uint8 | Self::Boolean => 1,
        }
    }

    /// True for the four floating-point types.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16 | Self::Bfloat16 | Self::Float64)
    }

    /// True for the three integer types.
    pub const fn is_int(self) -> bool {
        matches!(self, Self::Int64 | Self::Int32 | Self::Uint8)
    }

    /// The type in which `self` and `other` meet; see the module's table.
    ///
    /// # Errors
    /// When exactly one of them is boolean.
    pub fn promote(self, other: Self, operation: &'static str) -> Result<Self> {
        use Dtype::{Bfloat16, Boolean, Float16, Float32, Float64, Int32, Int64, Uint8};
        Ok(match (self, other) {
            (a, b) if a == b => a,
            (Boolean, number) | (number, Boolean) => {
                fail!(operation, "boolean and {number} tensors do not mix; cast the boolean one first")
            }
            (Float64, _) | (_, Float64) => Float64,
            (Float32, _) | (_, Float32) | (Float16, Bfloat16) | (Bfloat16, Float16) => Float32,
            (float @ (Float16 | Bfloat16), _) | (_, float @ (Float16 | Bfloat16)) => float,
            (Int64, _) | (_, Int64) => Int64,
            (Int32 | Uint8, _) => Int32,
        })
    }

    pub(crate) const fn kind(self) -> Kind {
        if self.is_float() {
            Kind::Float
        } else if self.is_int() {
            Kind::Int
        } else {
            Kind::Bool
        }
    }

    /// Where sums of this type are accumulated: float32 or wider, int64.
    pub(crate) const fn accumulator(self) -> Self {
        match self {
            Self::Float16 | Self::Bfloat16 => Self::Float32,
            Self::Int32 | Self::Uint8 => Self::Int64,
            same => same,
        }
    }

    /// burn's float type; float32 for what is not a float.
    pub(crate) const fn float(self) -> FloatDType {
        match self {
            Self::Float16 => FloatDType::F16,
            Self::Bfloat16 => FloatDType::BF16,
            Self::Float64 => FloatDType::F64,
            _ => FloatDType::F32,
        }
    }

    /// burn's integer type; int64 for what is not an integer.
    pub(crate) const fn int(self) -> IntDType {
        match self {
            Self::Int32 => IntDType::I32,
            Self::Uint8 => IntDType::U8,
            _ => IntDType::I64,
        }
    }

    /// The nearest of our types to one of burn's.
    pub(crate) const fn of(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Self::Float64,
            DType::F32 | DType::Flex32 | DType::QFloat(_) => Self::Float32,
            DType::F16 => Self::Float16,
            DType::BF16 => Self::Bfloat16,
            DType::I64 | DType::U64 | DType::U32 => Self::Int64,
            DType::I32 | DType::I16 | DType::I8 | DType::U16 => Self::Int32,
            DType::U8 => Self::Uint8,
            DType::Bool(BoolStore::Native | BoolStore::U8 | BoolStore::U32) => Self::Boolean,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|dtype| dtype.name()).collect();
            format!("unknown element type `{name}`; known are {}", known.join(", "))
        })
    }
}

/// `value` in the type `dtype`: truncated towards zero for integers, in whose
/// range it must lie.
pub(crate) fn scalar_of(op: &'static str, value: f64, dtype: Dtype) -> Result<Scalar> {
    match dtype.kind() {
        Kind::Float => Ok(Scalar::Float(value)),
        Kind::Int => {
            let (low, high) = match dtype {
                Dtype::Uint8 => (0, i64::from(u8::MAX)),
                Dtype::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            let fits = value.is_finite() && (low as f64..=high as f64).contains(&value.trunc());
            ensure!(fits, op, "{value} has no {dtype}");
            Ok(Scalar::Int(value as i64))
        }
        Kind::Bool => fail!(op, "needs numbers, got a boolean tensor; cast it first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_commutative_and_keeps_the_wider_side() {
        use Dtype::{Bfloat16, Float16, Float32, Float64, Int32, Int64, Uint8};
        let table = [
            (Float16, Bfloat16, Float32),
            (Float16, Float32, Float32),
            (Bfloat16, Float64, Float64),
            (Int64, Float16, Float16),
            (Uint8, Bfloat16, Bfloat16),
            (Int32, Int64, Int64),
            (Uint8, Int32, Int32),
            (Int64, Float64, Float64),
        ];
        for (a, b, meet) in table {
            assert_eq!(a.promote(b, "add"), Ok(meet));
            assert_eq!(b.promote(a, "add"), Ok(meet));
        }
        assert!(Dtype::Boolean.promote(Int64, "add").is_err());
    }

    #[test]
    fn a_name_reads_back_and_an_unknown_one_lists_the_known() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        let error = "double".parse::<Dtype>().unwrap_err();
        assert!(error.contains("`double`") && error.contains("float64"), "{error}");
    }
}
