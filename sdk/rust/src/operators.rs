//! `+ - * /` and unary `-`, between tensors and with `f64`.
//!
//! Every combination of owned and borrowed works, so that a formula can be
//! written as it is read: `(1.0 - &p).pow_scalar(2.0) * -&log_p`.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Tensor;

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
        with_number!(@ $tensor, Div, div, |t, x| t.mul_scalar(1.0 / x), |x, t| t.recip().mul_scalar(x));
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
    use crate::tensor::from_float32;

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
}
