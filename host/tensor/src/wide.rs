//! Loops over slices that the compiler turns into wide instructions.
//!
//! A function in [`wide!`](crate::wide) is compiled twice, for AVX2 and for the baseline, and chosen at run time. Sums run
//! over sixteen fixed lanes and nothing is contracted, so both give the same bits.

/// Sixteen partial sums, then one: the same order whatever the width of a register.
#[inline(always)]
pub fn sum(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    let whole = count / 16 * 16;
    for start in (0..whole).step_by(16) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += term(start + lane);
        }
    }
    let mut total = 0.0;
    lanes.iter().for_each(|lane| total += lane);
    (whole..count).for_each(|i| total += term(i));
    total
}

/// The largest value that is a number; `f32::MIN` of none.
#[inline(always)]
pub fn largest(x: &[f32]) -> f32 {
    let mut lanes = [f32::MIN; 16];
    let chunks = x.chunks_exact(16);
    let mut most = f32::MIN;
    chunks.remainder().iter().for_each(|v| most = if *v > most { *v } else { most });
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = if *v > *lane { *v } else { *lane };
        }
    }
    lanes.iter().for_each(|v| most = if *v > most { *v } else { most });
    most
}

/// `e^x` to about two units in the last place, without branches: `2^n` from the
/// exponent bits times a polynomial (the coefficients of Cephes `expf`). Zero
/// below -87, where the result would be subnormal.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4 * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    // The last bits of `shifted` are `n`; a cast would check its range in every lane.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    let value = (p * r * r + r + 1.0) * power;
    if x < -87.0 { 0.0 } else { value }
}

/// `tanh(x)` to 2e-7, from [`exp`].
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

/// Defines functions without a result that run with AVX2 where the processor has it.
#[macro_export]
macro_rules! wide {
    ($($(#[$doc:meta])* $visibility:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$doc])*
        #[inline]
        $visibility fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) {
                    body($($arg),*);
                }
                if ::std::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has been asked whether it has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    )*};
}

wide! {
    /// `x += y`.
    pub fn accumulate(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += *y;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_three_units_in_the_last_place_and_zero_far_below() {
        for i in -8_700..8_700 {
            let x = i as f32 * 0.01;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found - expected).abs() <= expected * 4e-7, "exp({x}) = {found}, not {expected}");
        }
        assert_eq!(exp(-1e9), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn tanh_is_right_to_2e_7_and_ends_at_one() {
        for i in -1_000..1_000 {
            let x = i as f32 * 0.05;
            let (found, expected) = (f64::from(tanh(x)), f64::from(x).tanh());
            assert!((found - expected).abs() <= 2e-7, "tanh({x}) = {found}, not {expected}");
        }
    }

    #[test]
    fn sums_and_largest_values_take_every_element_whatever_the_length() {
        for length in [0, 1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..length).map(|i| ((i * 7) % 23) as f32 - 30.0).collect();
            assert_eq!(sum(length, |i| x[i]), x.iter().sum::<f32>());
            assert_eq!(largest(&x), x.iter().copied().fold(f32::MIN, f32::max));
        }
    }
}
