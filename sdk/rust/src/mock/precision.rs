//! Numbers as an element type holds them.
//!
//! Every result is computed in `f64` and rounded once, to nearest, ties to even: for `+`, `-`, `*`, `/` and
//! the square root that is what the hardware gives for float32, and for functions within one unit of its last place. What a
//! float32 cannot hold is infinite here as on the host.

use crate::Dtype;

/// The nearest number of this type.
pub fn round(x: f64, dtype: Dtype) -> f64 {
    match dtype {
        Dtype::Float32 => f64::from(x as f32),
        Dtype::Float16 => binary(x, 11, -14, 65_504.0),
        Dtype::Bfloat16 => binary(x, 8, -126, f64::from(f32::from_bits(0x7F7F_0000))),
        _ => x,
    }
}

/// Where sums of floats are accumulated: float32 or wider.
pub fn wide(dtype: Dtype) -> Dtype {
    if dtype == Dtype::Float64 { Dtype::Float64 } else { Dtype::Float32 }
}

/// The sum, every partial sum in this type.
pub fn sum(values: impl IntoIterator<Item = f64>, dtype: Dtype) -> f64 {
    values.into_iter().fold(0.0, |sum, x| round(sum + x, dtype))
}

/// The nearest number with `digits` binary digits, whose normal numbers begin at 2^`least` and end at `most`.
fn binary(x: f64, digits: i32, least: i32, most: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = ((x.to_bits() >> 52) & 0x7FF) as i32 - 1023;
    let unit = f64::powi(2.0, exponent.max(least) + 1 - digits);
    let rounded = (x / unit).round_ties_even() * unit;
    if rounded.abs() > most { f64::INFINITY.copysign(x) } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit patterns from IEEE 754 and its half-precision examples.
    #[test]
    fn sixteen_bits_hold_what_they_hold() {
        let half = |x| round(x, Dtype::Float16);
        assert_eq!([half(0.1), half(1.0 / 3.0)], [0.099_975_585_937_5, 0.333_251_953_125]);
        assert_eq!([half(65_519.0), half(65_520.0), half(-1e9)], [65_504.0, f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!([half(5.960_464_477_539_063e-8), half(2.9e-8)], [5.960_464_477_539_063e-8, 0.0]);
        let brain = |x| round(x, Dtype::Bfloat16);
        assert_eq!([brain(0.1), brain(3.4e38)], [0.100_097_656_25, f64::INFINITY]);
        assert_eq!(brain(1.003_906_25), 1.0, "a tie goes to the even one");
    }
}
