//! Loops over a piece of a row of logits that the compiler turns into wide instructions (see [`crate::wide`]).
//!
//! A row is folded piece by piece, and what the pieces give is added in float64: the error of a sum does not grow with the
//! vocabulary.

use crate::wide::{exp, largest, sum, tanh};

/// A maximum that rose from `old` to `new`: what exponentials below it have to be multiplied with.
fn fallen(old: f32, new: f32) -> f64 {
    f64::from(old - new).exp()
}

crate::wide! {
    /// Folds more of a row into its maximum and into the sum of `e^(x - max)`.
    pub(super) fn fold_exponentials(x: &[f32], max: &mut f32, total: &mut f64) {
        let piece = largest(x);
        let most = if piece > *max { piece } else { *max };
        *total = *total * fallen(*max, most) + f64::from(sum(x.len(), |i| exp(x[i] - most)));
        *max = most;
    }

    /// As [`fold_exponentials`], with the sum of `e^(x - max) (x - max)`.
    pub(super) fn fold_moments(x: &[f32], max: &mut f32, total: &mut f64, moment: &mut f64) {
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
    pub(super) fn fold_sum(x: &[f32], total: &mut f64) {
        *total += f64::from(sum(x.len(), |i| x[i]));
    }

    /// `x = (scale p + shift) slope`, where `p` is `e^(x - max - log_sum)` and `slope` that of a cap whose inverse
    /// is given (zero for none).
    pub(super) fn softmax_slope(x: &mut [f32], max: f32, log_sum: f32, scale: f32, shift: f32, cap_inverse: f32) {
        for x in x {
            let capped = *x * cap_inverse;
            *x = (scale * exp(*x - max - log_sum) + shift) * (1.0 - capped * capped);
        }
    }

    /// `x = scale p (log p + entropy) slope`, as [`softmax_slope`].
    pub(super) fn entropy_slope(x: &mut [f32], max: f32, log_sum: f32, scale: f32, entropy: f32, cap_inverse: f32) {
        for x in x {
            let (log_p, capped) = (*x - max - log_sum, *x * cap_inverse);
            let p = exp(log_p);
            let term = if p == 0.0 { 0.0 } else { p * (log_p + entropy) };
            *x = scale * term * (1.0 - capped * capped);
        }
    }

    /// `x = cap tanh(x / cap)`.
    pub(super) fn soft_cap(x: &mut [f32], cap: f32) {
        for x in x {
            *x = cap * tanh(*x / cap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
