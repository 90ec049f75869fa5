//! Loops over one row that the compiler turns into wide instructions.
//!
//! Each function is compiled twice, for AVX2 and for the baseline, and chosen at
//! run time. Sums run over sixteen fixed lanes and nothing is contracted, so both
//! give the same bits.

/// Sixteen partial sums, then one: the same order whatever the width of a register.
#[inline(always)]
pub(super) fn sum(count: usize, term: impl Fn(usize) -> f32) -> f32 {
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
pub(super) fn largest(x: &[f32]) -> f32 {
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
pub(super) fn exp(x: f32) -> f32 {
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

/// The normal distribution function and `e^(-x²/2)`, to 2e-7: Abramowitz and
/// Stegun 7.1.26, applied to the tail so that it stays small where it is small.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let p = 1.061_405_4 * t - 1.453_152;
    let p = p * t + 1.421_413_8;
    let p = p * t - 0.284_496_74;
    let p = p * t + 0.254_829_6;
    let bell = exp(-0.5 * x * x);
    let tail = 0.5 * p * t * bell;
    (if x < 0.0 { tail } else { 1.0 - tail }, bell)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
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

wide! {
    /// `x += y`.
    fn accumulate(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += *y;
        }
    }

    /// `x *= y`.
    fn scale(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x *= *y;
        }
    }

    /// `out = x Φ(x)`.
    fn gelu(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = *x * normal(*x).0;
        }
    }

    /// `out = grad (Φ(x) + x φ(x))`.
    fn gelu_backward(x: &[f32], grad: &[f32], out: &mut [f32]) {
        const PEAK: f32 = 0.398_942_3;
        for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
            let (below, bell) = normal(*x);
            *out = *grad * (below + *x * bell * PEAK);
        }
    }

    /// One row of layer normalisation.
    fn affine_norm(x: &[f32], scale: &[f32], shift: &[f32], epsilon: f32, out: &mut [f32]) {
        let n = x.len();
        let (scale, shift, out) = (&scale[..n], &shift[..n], &mut out[..n]);
        let mean = sum(n, |i| x[i]) / n as f32;
        let variance = sum(n, |i| (x[i] - mean) * (x[i] - mean)) / n as f32;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for i in 0..n {
            out[i] = (x[i] - mean) * inverse * scale[i] + shift[i];
        }
    }

    /// Its gradient; adds to those of scale and shift.
    fn affine_norm_backward(
        x: &[f32],
        scale: &[f32],
        grad: &[f32],
        epsilon: f32,
        out: &mut [f32],
        scale_grad: &mut [f32],
        shift_grad: &mut [f32],
    ) {
        let n = x.len();
        let (scale, grad, out) = (&scale[..n], &grad[..n], &mut out[..n]);
        let (scale_grad, shift_grad) = (&mut scale_grad[..n], &mut shift_grad[..n]);
        let mean = sum(n, |i| x[i]) / n as f32;
        let variance = sum(n, |i| (x[i] - mean) * (x[i] - mean)) / n as f32;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        let average = sum(n, |i| grad[i] * scale[i]) / n as f32;
        let along = sum(n, |i| grad[i] * scale[i] * (x[i] - mean)) * inverse / n as f32;
        for i in 0..n {
            let standard = (x[i] - mean) * inverse;
            scale_grad[i] += grad[i] * standard;
            shift_grad[i] += grad[i];
            out[i] = (grad[i] * scale[i] - average - standard * along) * inverse;
        }
    }

    /// One row of root-mean-square normalisation.
    fn root_norm(x: &[f32], scale: &[f32], epsilon: f32, out: &mut [f32]) {
        let n = x.len();
        let (scale, out) = (&scale[..n], &mut out[..n]);
        let inverse = 1.0 / (sum(n, |i| x[i] * x[i]) / n as f32 + epsilon).sqrt();
        for i in 0..n {
            out[i] = x[i] * inverse * scale[i];
        }
    }

    /// Its gradient; adds to that of scale.
    fn root_norm_backward(x: &[f32], scale: &[f32], grad: &[f32], epsilon: f32, out: &mut [f32], scale_grad: &mut [f32]) {
        let n = x.len();
        let (scale, grad, out, scale_grad) = (&scale[..n], &grad[..n], &mut out[..n], &mut scale_grad[..n]);
        let inverse = 1.0 / (sum(n, |i| x[i] * x[i]) / n as f32 + epsilon).sqrt();
        let along = sum(n, |i| grad[i] * scale[i] * x[i]) * inverse / n as f32;
        for i in 0..n {
            let standard = x[i] * inverse;
            scale_grad[i] += grad[i] * standard;
            out[i] = (grad[i] * scale[i] - standard * along) * inverse;
        }
    }

    /// `out = gate σ(gate) up`.
    fn gated_silu(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = *gate * sigmoid(*gate) * *up;
        }
    }

    /// Its gradients for gate and up.
    fn gated_silu_backward(gate: &[f32], up: &[f32], grad: &[f32], gate_grad: &mut [f32], up_grad: &mut [f32]) {
        let n = gate.len();
        let (up, grad, gate_grad, up_grad) = (&up[..n], &grad[..n], &mut gate_grad[..n], &mut up_grad[..n]);
        for i in 0..n {
            let s = sigmoid(gate[i]);
            let silu = gate[i] * s;
            up_grad[i] = grad[i] * silu;
            gate_grad[i] = grad[i] * up[i] * (s + silu * (1.0 - s));
        }
    }

    /// One head's pairs, turned.
    fn turn_pairs(x: &[f32], cos: &[f32], sin: &[f32], out: &mut [f32]) {
        let half = cos.len();
        let (low, high) = x.split_at(half);
        let (out_low, out_high) = out.split_at_mut(half);
        let (high, sin, out_high) = (&high[..half], &sin[..half], &mut out_high[..half]);
        for i in 0..half {
            out_low[i] = low[i] * cos[i] - high[i] * sin[i];
            out_high[i] = high[i] * cos[i] + low[i] * sin[i];
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
    fn the_normal_distribution_is_right_to_2e_7() {
        // From tables: Φ(0), Φ(1), Φ(1.96), Φ(3).
        for (x, expected) in [(0.0, 0.5), (1.0, 0.841_344_8), (1.96, 0.975_002_1), (3.0, 0.998_650_1)] {
            assert!((normal(x).0 - expected).abs() < 2e-7, "{x}");
            assert!((normal(-x).0 - (1.0 - expected)).abs() < 2e-7, "-{x}");
        }
    }
}
