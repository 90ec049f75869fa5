//! Comparison and logic. Every operation here gives booleans and no gradient.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::{BoolDType, Scalar};

use crate::AnyTensor;
use crate::dtype::{Dtype, Kind, scalar_of};
use crate::error::{Result, ensure};

type Compare = fn(DispatchTensor, DispatchTensor, BoolDType) -> DispatchTensor;
type CompareScalar = fn(DispatchTensor, Scalar, BoolDType) -> DispatchTensor;
type Logic = fn(DispatchTensor, DispatchTensor) -> DispatchTensor;

impl AnyTensor {
    fn compare(
        &self,
        op: &'static str,
        rhs: &Self,
        float: Compare,
        int: Compare,
        bools: Option<Logic>,
    ) -> Result<Self> {
        let (lhs, rhs, shape) = self.untracked().aligned(op, &rhs.untracked())?;
        ensure!(lhs.kind() != Kind::Bool || bools.is_some(), op, "booleans have no order; cast them first");
        let store = lhs.bool_dtype();
        Self::make(op, &shape, || match (lhs.kind(), bools) {
            (Kind::Float, _) => float(lhs.raw(), rhs.raw(), store),
            (Kind::Bool, Some(logic)) => logic(lhs.raw(), rhs.raw()),
            _ => int(lhs.raw(), rhs.raw(), store),
        })
    }

    fn compare_scalar(&self, op: &'static str, rhs: f64, float: CompareScalar, int: CompareScalar) -> Result<Self> {
        let scalar = scalar_of(op, rhs, self.dtype())?;
        let (tensor, store) = (self.untracked(), self.bool_dtype());
        Self::make(op, &self.shape(), || match self.kind() {
            Kind::Float => float(tensor.raw(), scalar, store),
            _ => int(tensor.raw(), scalar, store),
        })
    }

    fn logic(&self, op: &'static str, rhs: &Self, logic: Logic) -> Result<Self> {
        self.need_bool(op, "both sides")?;
        rhs.need_bool(op, "both sides")?;
        let (lhs, rhs, shape) = self.aligned(op, rhs)?;
        let (lhs, rhs) = (lhs.spread(op, &shape)?, rhs.spread(op, &shape)?);
        Self::make(op, &shape, || logic(lhs.raw(), rhs.raw()))
    }
}

macro_rules! compare {
    ($($name:ident $op:literal $float:ident $int:ident $bools:expr, $doc:literal;)+) => {
        impl AnyTensor {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// When the shapes do not broadcast or the types do not meet.
                #[allow(clippy::should_implement_trait, reason = "the contract's name; gives a tensor, not a bool")]
                pub fn $name(&self, rhs: &Self) -> Result<Self> {
                    self.compare($op, rhs, Dispatch::$float, Dispatch::$int, $bools)
                }
            )+
        }
    };
}

macro_rules! compare_scalar {
    ($($name:ident $op:literal $float:ident $int:ident $doc:literal;)+) => {
        impl AnyTensor {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// For booleans.
                pub fn $name(&self, rhs: f64) -> Result<Self> {
                    self.compare_scalar($op, rhs, Dispatch::$float, Dispatch::$int)
                }
            )+
        }
    };
}

compare! {
    eq "eq" float_equal int_equal Some(Dispatch::bool_equal), "`self == rhs`.";
    ne "ne" float_not_equal int_not_equal Some(Dispatch::bool_not_equal), "`self != rhs`.";
    lt "lt" float_lower int_lower None, "`self < rhs`.";
    le "le" float_lower_equal int_lower_equal None, "`self <= rhs`.";
    gt "gt" float_greater int_greater None, "`self > rhs`.";
    ge "ge" float_greater_equal int_greater_equal None, "`self >= rhs`.";
}

compare_scalar! {
    eq_scalar "eq-scalar" float_equal_elem int_equal_elem "`self == rhs`.";
    gt_scalar "gt-scalar" float_greater_elem int_greater_elem "`self > rhs`.";
    lt_scalar "lt-scalar" float_lower_elem int_lower_elem "`self < rhs`.";
}

impl AnyTensor {
    /// True where both are.
    ///
    /// # Errors
    /// When a side is not boolean or the shapes do not broadcast.
    pub fn logical_and(&self, rhs: &Self) -> Result<Self> {
        self.logic("logical-and", rhs, Dispatch::bool_and)
    }

    /// True where either is.
    ///
    /// # Errors
    /// When a side is not boolean or the shapes do not broadcast.
    pub fn logical_or(&self, rhs: &Self) -> Result<Self> {
        self.logic("logical-or", rhs, Dispatch::bool_or)
    }

    /// True where this tensor is false.
    ///
    /// # Errors
    /// When it is not boolean.
    pub fn logical_not(&self) -> Result<Self> {
        let op = "logical-not";
        self.need_bool(op, "the tensor")?;
        Self::make(op, &self.shape(), || Dispatch::bool_not(self.raw()))
    }

    /// False for NaN and the infinities.
    ///
    /// # Errors
    /// For booleans.
    pub fn is_finite(&self) -> Result<Self> {
        let op = "is-finite";
        self.need_number(op)?;
        if !self.dtype().is_float() {
            return crate::full(&self.shape(), 1.0, Dtype::Boolean, &self.device());
        }
        let (tensor, store) = (self.untracked(), self.bool_dtype());
        Self::make(op, &self.shape(), || {
            let broken = Dispatch::bool_or(
                Dispatch::float_is_nan(tensor.raw(), store),
                Dispatch::float_is_inf(tensor.raw(), store),
            );
            Dispatch::bool_not(broken)
        })
    }
}
