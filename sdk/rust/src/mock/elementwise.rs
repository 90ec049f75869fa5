//! Operations on each element, and between pairs of them.

use super::{Tensor, geometry, precision, violation};
use crate::Dtype;

/// The type two tensors meet in.
#[track_caller]
pub(super) fn promote(operation: &str, a: Dtype, b: Dtype) -> Dtype {
    use Dtype::{Bfloat16, Boolean, Float16, Float32, Float64, Int32, Int64, Uint8};
    let width = |d| match d {
        Boolean => 0,
        Uint8 => 1,
        Int32 => 2,
        Int64 => 3,
        Float16 | Bfloat16 => 4,
        Float32 => 5,
        Float64 => 6,
    };
    match (a, b) {
        _ if (a == Boolean) != (b == Boolean) => {
            violation(operation, format_args!("{a} and {b} do not meet; `cast` the boolean one"))
        }
        (Float16, Bfloat16) | (Bfloat16, Float16) => Float32,
        _ if width(a) >= width(b) => a,
        _ => b,
    }
}

/// The error function, to about 1e-15: its series below 3, a continued fraction beyond.
pub fn erf(x: f64) -> f64 {
    let z = x.abs();
    if z.is_nan() {
        return x;
    }
    let value = if z < 3.0 {
        let (mut term, mut sum, mut n) = (z, z, 0.0);
        while f64::abs(term) > 1e-17 * sum {
            n += 1.0;
            term *= -z * z / n;
            sum += term / (2.0 * n + 1.0);
            if n > 200.0 {
                break;
            }
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..60).rev().fold(z, |rest, k| z + f64::from(k) / 2.0 / rest);
        1.0 - (-z * z).exp() / fraction / std::f64::consts::PI.sqrt()
    };
    value.copysign(x)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

impl Tensor {
    pub(super) fn map(&self, dtype: Dtype, f: impl Fn(f64) -> f64) -> Self {
        Self::make(self.shape.clone(), self.data.iter().map(|x| f(*x)).collect(), dtype)
    }

    #[track_caller]
    pub(super) fn zip(&self, operation: &str, rhs: &Self, dtype: Dtype, f: impl Fn(f64, f64) -> f64) -> Self {
        let shape = geometry::broadcast(operation, &self.shape, &rhs.shape);
        let (left, right) = (geometry::offsets(&self.shape, &shape), geometry::offsets(&rhs.shape, &shape));
        let data = left.iter().zip(&right).map(|(i, j)| f(self.data[*i], rhs.data[*j])).collect();
        Self::make(shape, data, dtype)
    }

    #[track_caller]
    fn arithmetic(&self, operation: &str, rhs: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        self.must_be_number(operation);
        rhs.must_be_number(operation);
        self.zip(operation, rhs, promote(operation, self.dtype, rhs.dtype), f)
    }

    #[track_caller]
    fn compare(&self, operation: &str, rhs: &Self, f: impl Fn(f64, f64) -> bool) -> Self {
        promote(operation, self.dtype, rhs.dtype);
        self.zip(operation, rhs, Dtype::Boolean, |a, b| f64::from(u8::from(f(a, b))))
    }

    #[track_caller]
    fn logic(&self, operation: &str, rhs: &Self, f: impl Fn(bool, bool) -> bool) -> Self {
        self.must_be_bool(operation);
        rhs.must_be_bool(operation);
        self.zip(operation, rhs, Dtype::Boolean, |a, b| f64::from(u8::from(f(a != 0.0, b != 0.0))))
    }

    /// A scalar argument in this tensor's type.
    #[track_caller]
    pub(super) fn scalar(&self, operation: &str, x: f64) -> f64 {
        self.must_be_number(operation);
        if self.dtype.is_int() { x.trunc() } else { precision::round(x, self.dtype) }
    }

    #[track_caller]
    pub fn cast(&self, to: Dtype) -> Self {
        match to {
            Dtype::Boolean => self.map(to, |x| f64::from(u8::from(x != 0.0))),
            Dtype::Uint8 if self.dtype.is_float() => self.map(to, |x| f64::from(x as u8)),
            Dtype::Int32 if self.dtype.is_float() => self.map(to, |x| f64::from(x as i32)),
            Dtype::Int64 if self.dtype.is_float() => self.map(to, |x| (x as i64) as f64),
            _ => self.map(to, |x| x),
        }
    }

    #[track_caller]
    pub fn clamp(&self, min: Option<f64>, max: Option<f64>) -> Self {
        let min = min.map_or(f64::NEG_INFINITY, |x| self.scalar("clamp", x));
        let max = max.map_or(f64::INFINITY, |x| self.scalar("clamp", x));
        self.map(self.dtype, |x| if x.is_nan() { x } else { x.max(min).min(max) })
    }

    #[track_caller]
    pub fn logical_not(&self) -> Self {
        self.must_be_bool("logical-not");
        self.map(Dtype::Boolean, |x| 1.0 - x)
    }

    #[track_caller]
    pub fn is_finite(&self) -> Self {
        self.must_be_number("is-finite");
        self.map(Dtype::Boolean, |x| f64::from(u8::from(x.is_finite())))
    }

    #[track_caller]
    pub fn div(&self, rhs: &Self) -> Self {
        let whole = self.dtype.is_int() && rhs.dtype.is_int();
        if whole && rhs.data.contains(&0.0) {
            violation("div", "an integer divisor is zero");
        }
        self.arithmetic("div", rhs, |a, b| if whole { (a / b).trunc() } else { a / b })
    }

    #[track_caller]
    pub fn matmul(&self, rhs: &Self) -> Self {
        self.must_be_float("matmul");
        rhs.must_be_float("matmul");
        let (a, b) = (&self.shape, &rhs.shape);
        if a.len() < 2 || b.len() < 2 || a[a.len() - 1] != b[b.len() - 2] {
            violation("matmul", format_args!("shapes {a:?} and {b:?} do not multiply"));
        }
        let (n, k, m) = (a[a.len() - 2], a[a.len() - 1], b[b.len() - 1]);
        let (a_lead, b_lead) = (&a[..a.len() - 2], &b[..b.len() - 2]);
        let lead = geometry::broadcast("matmul", a_lead, b_lead);
        let dtype = promote("matmul", self.dtype, rhs.dtype);
        let of = |row: &[f64], col: usize, right: &[f64]| {
            let products = row.iter().enumerate().map(|(x, left)| precision::round(left * right[x * m + col], dtype));
            precision::sum(products, precision::wide(dtype))
        };
        let mut data = Vec::new();
        for (i, j) in geometry::offsets(a_lead, &lead).into_iter().zip(geometry::offsets(b_lead, &lead)) {
            let (left, right) = (&self.data[i * n * k..][..n * k], &rhs.data[j * k * m..][..k * m]);
            for row in 0..n {
                data.extend((0..m).map(|col| of(&left[row * k..][..k], col, right)));
            }
        }
        let shape = lead.into_iter().chain([n, m]).collect();
        Self::make(shape, data, dtype)
    }
}

/// One line per operation.
macro_rules! table {
    (float: $($name:ident = |$x:ident| $f:expr;)+) => { impl Tensor { $(
        #[track_caller]
        pub fn $name(&self) -> Self {
            self.must_be_float(stringify!($name));
            self.map(self.dtype, |$x| $f)
        }
    )+ } };
    (number: $($name:ident = |$x:ident| $f:expr;)+) => { impl Tensor { $(
        #[track_caller]
        pub fn $name(&self) -> Self {
            self.must_be_number(stringify!($name));
            self.map(self.dtype, |$x| $f)
        }
    )+ } };
    ($kind:ident: $($name:ident = |$x:ident, $y:ident| $f:expr;)+) => { impl Tensor { $(
        #[track_caller]
        pub fn $name(&self, rhs: &Self) -> Self { self.$kind(stringify!($name), rhs, |$x, $y| $f) }
    )+ } };
}

table! { float:
    recip = |x| 1.0 / x;
    exp = |x| x.exp();
    log = |x| x.ln();
    log1p = |x| x.ln_1p();
    sqrt = |x| x.sqrt();
    rsqrt = |x| 1.0 / x.sqrt();
    erf = |x| erf(x);
    tanh = |x| x.tanh();
    relu = |x| if x.is_nan() { x } else { x.max(0.0) };
    sigmoid = |x| sigmoid(x);
    log_sigmoid = |x| -softplus(-x);
    softplus = |x| softplus(x);
    gelu = |x| 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2));
    silu = |x| x * sigmoid(x);
}

table! { number:
    neg = |x| -x;
    abs = |x| x.abs();
    sign = |x| if x == 0.0 || x.is_nan() { x } else { x.signum() };
    floor = |x| x.floor();
    ceil = |x| x.ceil();
    round = |x| x.round_ties_even();
}

table! { arithmetic:
    add = |a, b| a + b;
    sub = |a, b| a - b;
    mul = |a, b| a * b;
    pow = |a, b| a.powf(b);
    maximum = |a, b| if a.is_nan() { a } else if b.is_nan() { b } else { a.max(b) };
    minimum = |a, b| if a.is_nan() { a } else if b.is_nan() { b } else { a.min(b) };
}

table! { compare:
    eq = |a, b| a == b;
    ne = |a, b| a != b;
    lt = |a, b| a < b;
    le = |a, b| a <= b;
    gt = |a, b| a > b;
    ge = |a, b| a >= b;
}

table! { logic:
    logical_and = |a, b| a && b;
    logical_or = |a, b| a || b;
}

/// With a number on the right, in the tensor's type.
macro_rules! with_scalar {
    ($($name:ident -> $dtype:ident = |$x:ident, $y:ident| $f:expr;)+) => { impl Tensor { $(
        #[track_caller]
        pub fn $name(&self, rhs: f64) -> Self {
            let $y = self.scalar(stringify!($name), rhs);
            self.map(with_scalar!(@ $dtype self), |$x| $f)
        }
    )+ } };
    (@ same $tensor:expr) => { $tensor.dtype };
    (@ boolean $tensor:expr) => { Dtype::Boolean };
}

with_scalar! {
    add_scalar -> same = |x, y| x + y;
    mul_scalar -> same = |x, y| x * y;
    pow_scalar -> same = |x, y| x.powf(y);
    eq_scalar -> boolean = |x, y| f64::from(u8::from(x == y));
    gt_scalar -> boolean = |x, y| f64::from(u8::from(x > y));
    lt_scalar -> boolean = |x, y| f64::from(u8::from(x < y));
}
