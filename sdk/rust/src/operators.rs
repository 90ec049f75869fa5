//! `+ - * /` and unary `-`, between tensors and with `f64`.
//!
//! Every combination of owned and borrowed works, so that a formula can be
//! written as it is read: `(1.0 - &p).pow_scalar(2.0) * -&log_p`. A number takes the
//! tensor's type, so that an integer tensor over 2.0 is divided by 2, and truncated.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Tensor;
use crate::tensor::full;

/// `tensor / x`. A reciprocal would be zero in the type of an integer tensor.
#[track_caller]
fn over(tensor: &Tensor, x: f64) -> Tensor {
    let dtype = tensor.dtype();
    if dtype.is_int() { tensor.div(&full(&[], x, dtype)) } else { tensor.mul_scalar(1.0 / x) }
}

/// `x / tensor`.
#[track_caller]
fn under(x: f64, tensor: &Tensor) -> Tensor {
    let dtype = tensor.dtype();
    if dtype.is_int() { full(&[], x, dtype).div(tensor) } else { tensor.recip().mul_scalar(x) }
}

/// An operator between two tensors, for each way to hold them.
macro_rules! between {
    ($op:ident, $method:ident) => {
        between!(@ $op, $method, &Tensor, &Tensor);
        between!(@ $op, $method, &Tensor, Tensor);
        between!(@ $op, $method, Tensor, &Tensor);
        between!(@ $op, $method, Tensor, Tensor);
    };
    (@ $op:ident, $method:ident, $left:ty, $right:ty) => {
        impl $op<$right> for $left {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: $right) -> Tensor {
                #[allow(clippy::needless_borrow, reason = "needed when it is owned")]
                Tensor::$method(&self, &rhs)
            }
        }
    };
}

between!(Add, add);
between!(Sub, sub);
between!(Mul, mul);
between!(Div, div);

/// An operator with a number on either side.
macro_rules! with_number {
    ($($tensor:ty),+) => { $(
        impl Neg for $tensor {
            type Output = Tensor;
            #[track_caller]
            fn neg(self) -> Tensor { Tensor::neg(&self) }
        }
        with_number!(@ $tensor, Add, add, |t, x| t.add_scalar(x), |x, t| t.add_scalar(x));
        with_number!(@ $tensor, Sub, sub, |t, x| t.add_scalar(-x), |x, t| Tensor::neg(&t).add_scalar(x));
        with_number!(@ $tensor, Mul, mul, |t, x| t.mul_scalar(x), |x, t| t.mul_scalar(x));
        with_number!(@ $tensor, Div, div, |t, x| over(&t, x), |x, t| under(x, &t));
    )+ };
    (@ $tensor:ty, $op:ident, $method:ident, |$t:ident, $x:ident| $right:expr, |$y:ident, $u:ident| $left:expr) => {
        impl $op<f64> for $tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, $x: f64) -> Tensor { let $t = self; $right }
        }
        impl $op<$tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, $u: $tensor) -> Tensor { let $y = self; $left }
        }
    };
}

with_number!(Tensor, &Tensor);

#[cfg(test)]
mod tests {
    use crate::Dtype;
    use crate::tensor::{from_float32, from_int64};

    #[test]
    fn every_operator_is_its_arithmetic() {
        let a = from_float32(&[1.0, 2.0], &[2]);
        let b = from_float32(&[4.0, 8.0], &[2]);
        let read = |t: crate::Tensor| t.to_float32().unwrap();
        assert_eq!(read(&a + &b), [5.0, 10.0]);
        assert_eq!(read(&a - &b), [-3.0, -6.0]);
        assert_eq!(read(&a * &b), [4.0, 16.0]);
        assert_eq!(read(&a / &b), [0.25, 0.25]);
        assert_eq!(read(-&a), [-1.0, -2.0]);
        assert_eq!(read(&a + 1.0), [2.0, 3.0]);
        assert_eq!(read(1.0 + &a), [2.0, 3.0]);
        assert_eq!(read(&a - 1.0), [0.0, 1.0]);
        assert_eq!(read(1.0 - &a), [0.0, -1.0]);
        assert_eq!(read(&a * 3.0), [3.0, 6.0]);
        assert_eq!(read(3.0 * &a), [3.0, 6.0]);
        assert_eq!(read(&a / 2.0), [0.5, 1.0]);
        assert_eq!(read(2.0 / &a), [2.0, 1.0]);
        assert_eq!(read((a + b) * -2.0), [-10.0, -20.0]);
    }

    #[test]
    fn integers_are_divided_as_integers() {
        let counts = from_int64(&[7, -7, 1], &[3]);
        let read = |t: crate::Tensor| (t.dtype(), t.to_int64().unwrap());
        assert_eq!(read(&counts / 2.0), (Dtype::Int64, vec![3, -3, 0]));
        assert_eq!(read(&counts / 2.9), (Dtype::Int64, vec![3, -3, 0]));
        assert_eq!(read(14.0 / counts), (Dtype::Int64, vec![2, -2, 14]));
        let bytes = from_int64(&[200, 3], &[2]).cast(Dtype::Uint8);
        assert_eq!(read(bytes / 2.0), (Dtype::Uint8, vec![100, 1]));
    }

    #[test]
    #[should_panic(expected = "`div`: an integer divisor is zero")]
    fn integers_over_less_than_one_are_refused() {
        let _ = from_int64(&[1], &[1]) / 0.5;
    }
}
