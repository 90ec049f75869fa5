//! Functions of each element by itself.
//!
//! `neg`, `abs`, `sign` and the roundings take integers as they are; every other
//! function needs floats. Where a derivative does not exist the gradient is the
//! one PyTorch gives: zero for `sign` and the roundings, and at zero for `abs`
//! and `relu`.

use burn::backend::ops::{ActivationOps, FloatTensorOps, IntTensorOps};
use burn::backend::{Dispatch, DispatchTensor};

use crate::AnyTensor;
use crate::dtype::Kind;
use crate::error::Result;

type Unary = fn(DispatchTensor) -> DispatchTensor;

impl AnyTensor {
    fn float_unary(&self, op: &'static str, float: Unary) -> Result<Self> {
        self.need_float(op)?;
        Self::make(op, &self.shape(), || float(self.raw()))
    }

    fn unary(&self, op: &'static str, float: Unary, int: Unary) -> Result<Self> {
        self.need_number(op)?;
        Self::make(op, &self.shape(), || match self.kind() {
            Kind::Float => float(self.raw()),
            _ => int(self.raw()),
        })
    }
}

/// One line a function of floats: name, spelling in messages, burn's function, meaning.
macro_rules! float_unary {
    ($($name:ident $op:literal $float:expr, $doc:literal;)+) => {
        impl AnyTensor {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// When the elements are not floats.
                pub fn $name(&self) -> Result<Self> {
                    self.float_unary($op, $float)
                }
            )+
        }
    };
}

/// One line a function of numbers.
macro_rules! unary {
    ($($name:ident $op:literal $float:expr, $int:expr, $doc:literal;)+) => {
        impl AnyTensor {
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// For booleans.
                pub fn $name(&self) -> Result<Self> {
                    self.unary($op, $float, $int)
                }
            )+
        }
    };
}

unary! {
    neg "neg" Dispatch::float_neg, Dispatch::int_neg, "`-x`.";
    abs "abs" Dispatch::float_abs, Dispatch::int_abs, "`|x|`.";
    sign "sign" Dispatch::float_sign, Dispatch::int_sign, "-1, 0 or 1.";
    floor "floor" Dispatch::float_floor, |x| x, "The largest whole number not above `x`.";
    ceil "ceil" Dispatch::float_ceil, |x| x, "The smallest whole number not below `x`.";
    round "round" Dispatch::float_round, |x| x, "The nearest whole number; halves go to the even one.";
}

float_unary! {
    recip "recip" Dispatch::float_recip, "`1 / x`.";
    exp "exp" Dispatch::float_exp, "`e^x`.";
    log "log" Dispatch::float_log, "The natural logarithm.";
    log1p "log1p" Dispatch::float_log1p, "`log(1 + x)`, exact near zero.";
    sqrt "sqrt" Dispatch::float_sqrt, "The square root.";
    rsqrt "rsqrt" |x| Dispatch::float_recip(Dispatch::float_sqrt(x)), "`1 / sqrt(x)`.";
    erf "erf" Dispatch::float_erf, "The error function.";
    tanh "tanh" Dispatch::float_tanh, "The hyperbolic tangent.";
    sigmoid "sigmoid" Dispatch::sigmoid, "`1 / (1 + e^-x)`.";
    log_sigmoid "log-sigmoid" Dispatch::log_sigmoid, "`log(sigmoid(x))`, without overflow.";
    softplus "softplus" |x| Dispatch::float_neg(Dispatch::log_sigmoid(Dispatch::float_neg(x))), "`log(1 + e^x)`, without overflow.";
    relu "relu" Dispatch::relu, "`max(x, 0)`.";
    gelu "gelu" Dispatch::gelu, "`x * (1 + erf(x / sqrt(2))) / 2` (the exact form).";
    silu "silu" |x| Dispatch::float_mul(x.clone(), Dispatch::sigmoid(x)), "`x * sigmoid(x)`.";
}
