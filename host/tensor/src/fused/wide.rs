//! Loops over a piece of a row that the compiler turns into wide instructions.
//!
//! Each function is compiled twice, for AVX2 and for the baseline, and chosen at
//! run time. Sums run over sixteen fixed lanes and nothing is contracted, so both
//! give the same bits. A row is folded piece by piece, and what the pieces give is
//! added in float64: the error of a sum does not grow with the vocabulary.

/// Sixteen partial sums, then one: the same order whatever the width of a register.
#[inline(always)]
fn sum(count: usize, term: impl Fn(usize) -> f32) -> f32 {
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

#[inline(always)]
fn largest(x: &[f32]) -> f32 {
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
fn exp(x: f32) -> f32 {
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

/// Defines functions that run with AVX2 where the processor has it.
macro_rules! wide {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$doc])*
        #[inline]
        pub(super) fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) {
                    body($($arg),*);
                }
                if std::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has been asked whether it has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    )*};
}

/// A maximum that rose from `old` to `new`: what exponentials below it have to be multiplied with.
fn fallen(old: f32, new: f32) -> f64 {
    f64::from(old - new).exp()
}

wide! {
    /// Folds more of a row into its maximum and into the sum of `e^(x - max)`.
    fn fold_exponentials(x: &[f32], max: &mut f32, total: &mut f64) {
        let piece = largest(x);
        let most = if piece > *max { piece } else { *max };
        *total = *total * fallen(*max, most) + f64::from(sum(x.len(), |i| exp(x[i] - most)));
        *max = most;
    }

    /// As [`fold_exponentials`], with the sum of `e^(x - max) (x - max)`.
    fn fold_moments(x: &[f32], max: &mut f32, total: &mut f64, moment: &mut f64) {
        let piece = largest(x);
        let most = if piece > *max { piece } else { *max };
        if *total > 0.0 {
            let fall = fallen(*max, most);
            *moment = fall * (*moment + f64::from(*max - most) * *total);
            *total *= fall;
        }
        *total += f64::from(sum(x.len(), |i| exp(x[i] - most)));
        *moment += f64::from(sum(x.len(), |i| {
            let e = exp(x[i] - most);
            if e == 0.0 { 0.0 } else { e * (x[i] - most) }
        }));
        *max = most;
    }

    /// Folds more of a row into the sum of `x`.
    fn fold_sum(x: &[f32], total: &mut f64) {
        *total += f64::from(sum(x.len(), |i| x[i]));
    }

    /// `x = (scale p + shift) slope`, where `p` is `e^(x - max - log_sum)` and `slope` that of a cap whose inverse
    /// is given (zero for none).
    fn softmax_slope(x: &mut [f32], max: f32, log_sum: f32, scale: f32, shift: f32, cap_inverse: f32) {
        for x in x {
            let capped = *x * cap_inverse;
            *x = (scale * exp(*x - max - log_sum) + shift) * (1.0 - capped * capped);
        }
    }

    /// `x = scale p (log p + entropy) slope`, as [`softmax_slope`].
    fn entropy_slope(x: &mut [f32], max: f32, log_sum: f32, scale: f32, entropy: f32, cap_inverse: f32) {
        for x in x {
            let (log_p, capped) = (*x - max - log_sum, *x * cap_inverse);
            let p = exp(log_p);
            let term = if p == 0.0 { 0.0 } else { p * (log_p + entropy) };
            *x = scale * term * (1.0 - capped * capped);
        }
    }

    /// `x = cap tanh(x / cap)`.
    fn soft_cap(x: &mut [f32], cap: f32) {
        let twice = 2.0 / cap;
        for x in x {
            *x = cap * (1.0 - 2.0 / (exp(*x * twice) + 1.0));
        }
    }

    /// `x += y`.
    fn accumulate(x: &mut [f32], y: &[f32]) {
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
    fn what_is_not_a_number_stays_so() {
        for broken in [f32::NAN, f32::INFINITY] {
            let (mut max, mut total) = (f32::MIN, 0.0);
            fold_exponentials(&[0.0, broken, 1.0], &mut max, &mut total);
            assert!(total.is_nan(), "{broken}: {total}");
        }
    }

    #[test]
    fn pieces_give_what_the_whole_row_gives_wherever_the_maximum_is() {
        for rising in [1.0f32, -1.0] {
            let x: Vec<f32> = (0..100).map(|i| rising * (i as f32 * 0.37 + (i as f32).sin())).collect();
            let (mut max, mut total, mut moment) = (f32::MIN, 0.0, 0.0);
            x.chunks(33).for_each(|piece| fold_moments(piece, &mut max, &mut total, &mut moment));
            let most = x.iter().copied().fold(f32::MIN, f32::max);
            let shifted = || x.iter().map(|x| f64::from(x - most));
            let (sum, first): (f64, f64) = (shifted().map(f64::exp).sum(), shifted().map(|x| x.exp() * x).sum());
            assert_eq!(max, most);
            assert!((total - sum).abs() < 1e-6 * sum, "{total} is not {sum}");
            assert!((moment - first).abs() < 1e-5 * first.abs(), "{moment} is not {first}");
        }
    }

    #[test]
    fn a_soft_cap_is_the_hyperbolic_tangent() {
        let plain = [-200.0f32, -30.0, -1.0, 0.0, 0.01, 5.0, 90.0];
        let mut capped = plain;
        soft_cap(&mut capped, 30.0);
        for (found, x) in capped.iter().zip(plain) {
            let expected = 30.0 * (f64::from(x) / 30.0).tanh();
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{x}: {found} is not {expected}");
        }
    }
}
