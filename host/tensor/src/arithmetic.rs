//! Arithmetic of two tensors or of a tensor and a scalar.
//!
//! Operands broadcast and promote (see [`Dtype::promote`]). Between integers
//! `div` truncates towards zero and a zero divisor is an error, and `pow` needs
//! exponents that are not negative; both read the right side back to see.

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};
use burn::tensor::Scalar;

use crate::AnyTensor;
use crate::dtype::{Dtype, Kind, scalar_of};
use crate::error::{Result, ensure, fail};
use crate::geometry::{admit, broadcast};

type Binary = fn(DispatchTensor, DispatchTensor) -> DispatchTensor;
type ByScalar = fn(DispatchTensor, Scalar) -> DispatchTensor;

impl AnyTensor {
    /// Both operands in one type and rank, and the shape they broadcast to.
    pub(crate) fn aligned(&self, op: &'static str, rhs: &Self) -> Result<(Self, Self, Vec<usize>)> {
        let dtype = self.dtype().promote(rhs.dtype(), op)?;
        let shape = broadcast(op, &self.shape(), &rhs.shape())?;
        admit(op, &shape, dtype)?;
        let rank = shape.len();
        Ok((self.cast(dtype)?.padded(op, rank)?, rhs.cast(dtype)?.padded(op, rank)?, shape))
    }

    fn binary(&self, op: &'static str, rhs: &Self, float: Binary, int: Binary) -> Result<Self> {
        let (lhs, rhs, shape) = self.aligned(op, rhs)?;
        lhs.need_number(op)?;
        Self::make(op, &shape, || match lhs.kind() {
            Kind::Float => float(lhs.raw(), rhs.raw()),
            _ => int(lhs.raw(), rhs.raw()),
        })
    }

    fn by_scalar(&self, op: &'static str, rhs: f64, float: ByScalar, int: ByScalar) -> Result<Self> {
        let scalar = scalar_of(op, rhs, self.dtype())?;
        Self::make(op, &self.shape(), || match self.kind() {
            Kind::Float => float(self.raw(), scalar),
            _ => int(self.raw(), scalar),
        })
    }
}

/// One line per operation: name, its spelling in messages, burn's functions, what it gives.
macro_rules! binary {
    ($($name:ident $op:literal $float:ident $int:ident $doc:literal;)+) => {
        impl AnyTensor {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// When the shapes do not broadcast; for booleans.
                pub fn $name(&self, rhs: &Self) -> Result<Self> {
                    self.binary($op, rhs, Dispatch::$float, Dispatch::$int)
                }
            )+
        }
    };
}

binary! {
    add "add" float_add int_add "`self + rhs`.";
    sub "sub" float_sub int_sub "`self - rhs`.";
    mul "mul" float_mul int_mul "`self * rhs`.";
}

impl AnyTensor {
    /// `self / rhs`. Between integers the quotient is truncated towards zero.
    ///
    /// # Errors
    /// When the shapes do not broadcast, for booleans, for an integer divisor of zero, and where the least
    /// integer stands over a divisor of -1.
    pub fn div(&self, rhs: &Self) -> Result<Self> {
        let op = "div";
        if self.dtype().is_int() && rhs.dtype().is_int() {
            let divisors = rhs.to_int64()?;
            ensure!(!divisors.contains(&0), op, "an integer divisor is zero");
            let least =
                if [self, rhs].iter().any(|t| t.dtype() == Dtype::Int64) { i64::MIN } else { i64::from(i32::MIN) };
            if divisors.contains(&-1) && self.to_int64()?.contains(&least) {
                let shape = broadcast(op, &self.shape(), &rhs.shape())?;
                admit(op, &shape, Dtype::Int64)?;
                let to: Vec<i32> = shape.iter().map(|size| *size as i32).collect();
                let pairs = self.expand(&to)?.to_int64()?.into_iter().zip(rhs.expand(&to)?.to_int64()?);
                ensure!(
                    !pairs.into_iter().any(|pair| pair == (least, -1)),
                    op,
                    "{least} divided by -1 is more than its type holds; cast to a float first"
                );
            }
        }
        self.binary(op, rhs, Dispatch::float_div, Dispatch::int_div)
    }

    /// `self` to the power `rhs`; NaN for a negative base with a broken exponent.
    ///
    /// # Errors
    /// When the shapes do not broadcast, for booleans, and for a negative
    /// exponent between integers.
    pub fn pow(&self, rhs: &Self) -> Result<Self> {
        let op = "pow";
        if self.dtype().is_int() && rhs.dtype().is_int() {
            let negative = rhs.to_int64()?.into_iter().find(|e| !(0..=i64::from(u32::MAX)).contains(e));
            if let Some(exponent) = negative {
                fail!(op, "the exponent {exponent} of an integer is not in 0..2^32; cast the base to a float first");
            }
        }
        self.binary(op, rhs, Dispatch::float_powf, Dispatch::int_powi)
    }

    /// The larger of two; NaN when either is. Of equal ones the gradient goes to `self`.
    ///
    /// # Errors
    /// When the shapes do not broadcast; for booleans.
    pub fn maximum(&self, rhs: &Self) -> Result<Self> {
        self.choose("maximum", rhs, Self::gt)
    }

    /// The smaller of two; NaN when either is. Of equal ones the gradient goes to `self`.
    ///
    /// # Errors
    /// When the shapes do not broadcast; for booleans.
    pub fn minimum(&self, rhs: &Self) -> Result<Self> {
        self.choose("minimum", rhs, Self::lt)
    }

    fn choose(&self, op: &'static str, rhs: &Self, wins: fn(&Self, &Self) -> Result<Self>) -> Result<Self> {
        let (lhs, rhs, _) = self.aligned(op, rhs)?;
        lhs.need_number(op)?;
        let mut take_rhs = wins(&rhs, &lhs)?;
        if rhs.dtype().is_float() {
            take_rhs = take_rhs.logical_or(&rhs.ne(&rhs)?)?;
        }
        take_rhs.where_(&rhs, &lhs)?.view(op, &broadcast(op, &lhs.shape(), &rhs.shape())?)
    }

    /// `self + rhs`.
    ///
    /// # Errors
    /// For booleans, and when an integer tensor meets NaN or infinity.
    pub fn add_scalar(&self, rhs: f64) -> Result<Self> {
        self.by_scalar("add-scalar", rhs, Dispatch::float_add_scalar, Dispatch::int_add_scalar)
    }

    /// `self * rhs`.
    ///
    /// # Errors
    /// For booleans, and when an integer tensor meets NaN or infinity.
    pub fn mul_scalar(&self, rhs: f64) -> Result<Self> {
        self.by_scalar("mul-scalar", rhs, Dispatch::float_mul_scalar, Dispatch::int_mul_scalar)
    }

    /// `self` to the power `rhs`.
    ///
    /// # Errors
    /// For booleans, and for an integer tensor with a negative or huge exponent.
    pub fn pow_scalar(&self, rhs: f64) -> Result<Self> {
        let op = "pow-scalar";
        if self.dtype().is_int() {
            ensure!(
                (0.0..=f64::from(u32::MAX)).contains(&rhs.trunc()),
                op,
                "the exponent {rhs} of an integer is not in 0..2^32; cast the base to a float first"
            );
        }
        self.by_scalar(op, rhs, Dispatch::float_powf_scalar, Dispatch::int_powi_scalar_impl)
    }

    /// Held between `min` and `max`; `None` leaves a side open. NaN stays NaN.
    ///
    /// # Errors
    /// When a bound is NaN or `min` exceeds `max`; for booleans.
    pub fn clamp(&self, min: Option<f64>, max: Option<f64>) -> Result<Self> {
        let op = "clamp";
        self.need_number(op)?;
        ensure!(!min.is_some_and(f64::is_nan) && !max.is_some_and(f64::is_nan), op, "a bound is NaN");
        if let (Some(min), Some(max)) = (min, max) {
            ensure!(min <= max, op, "the lower bound {min} exceeds the upper bound {max}");
        }
        let mut held = self.clone();
        if let Some(min) = min {
            held = held.by_scalar(op, min, Dispatch::float_clamp_min, Dispatch::int_clamp_min)?;
        }
        if let Some(max) = max {
            held = held.by_scalar(op, max, Dispatch::float_clamp_max, Dispatch::int_clamp_max)?;
        }
        Ok(held)
    }

    /// `[.., n, k] x [.., k, m] -> [.., n, m]`; leading dimensions broadcast. A
    /// vector on the left is a row, on the right a column, and drops out of the
    /// result. Integers give int64.
    ///
    /// # Errors
    /// When the inner sizes differ, the leading ones do not broadcast, or a side
    /// is a scalar; for booleans.
    pub fn matmul(&self, rhs: &Self) -> Result<Self> {
        let op = "matmul";
        let dtype = self.dtype().promote(rhs.dtype(), op)?;
        let dtype = if dtype.is_int() { Dtype::Int64 } else { dtype };
        self.need_number(op)?;
        let (ls, rs) = (self.shape(), rhs.shape());
        ensure!(!ls.is_empty() && !rs.is_empty(), op, "shapes {ls:?} and {rs:?}: a scalar has no rows; use mul");
        let (row, column) = (ls.len() == 1, rs.len() == 1);
        let lhs = if row { self.unsqueeze(0)? } else { self.clone() };
        let right = if column { rhs.unsqueeze(1)? } else { rhs.clone() };
        let (l, r) = (lhs.shape(), right.shape());
        let ([lead_l @ .., n, k], [lead_r @ .., k2, m]) = (&l[..], &r[..]) else {
            fail!(op, "shapes {ls:?} and {rs:?} are not matrices");
        };
        ensure!(k == k2, op, "inner sizes of shapes {ls:?} and {rs:?} differ: {k} and {k2}");
        let mut shape = broadcast(op, lead_l, lead_r)?;
        shape.extend([*n, *m]);
        admit(op, &shape, dtype)?;
        let mut shown = shape.clone();
        if column {
            shown.pop();
        }
        if row {
            shown.remove(shape.len() - 2);
        }
        if shape.contains(&0) || *k == 0 {
            return crate::full(&shown, 0.0, dtype, &self.device());
        }
        let (lhs, right) = (lhs.cast(dtype)?.padded(op, shape.len())?, right.cast(dtype)?.padded(op, shape.len())?);
        Self::make(op, &shown, || match dtype.kind() {
            Kind::Float => Dispatch::float_matmul(lhs.raw(), right.raw()),
            _ => Dispatch::int_matmul(lhs.raw(), right.raw()),
        })
    }
}
