//! Loops over one row that the compiler turns into wide instructions (see [`retune_tensor::wide`]).

use retune_tensor::wide::{exp, sum, tanh};

use crate::model::shape::Activation;

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

/// `tanh(u)` and `u'`, with `u = √(2/π) (x + 0.044715 x³)`.
#[inline(always)]
fn gelu_tangent(x: f32) -> (f32, f32) {
    const ROOT: f32 = 0.797_884_6;
    const CUBE: f32 = 0.044_715;
    (tanh(ROOT * x * (1.0 + CUBE * x * x)), ROOT * (1.0 + 3.0 * CUBE * x * x))
}

/// `out = act(x)`.
pub(super) fn activate(activation: Activation, x: &[f32], out: &mut [f32]) {
    match activation {
        Activation::Gelu => gelu(x, out),
        Activation::GeluTanh => gelu_tanh(x, out),
        Activation::Relu => relu(x, out),
        Activation::Silu => silu(x, out),
    }
}

/// `out = grad act'(x)`.
pub(super) fn activate_backward(activation: Activation, x: &[f32], grad: &[f32], out: &mut [f32]) {
    match activation {
        Activation::Gelu => gelu_backward(x, grad, out),
        Activation::GeluTanh => gelu_tanh_backward(x, grad, out),
        Activation::Relu => relu_backward(x, grad, out),
        Activation::Silu => silu_backward(x, grad, out),
    }
}

retune_tensor::wide! {
    fn gelu_tanh(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = 0.5 * *x * (1.0 + gelu_tangent(*x).0);
        }
    }

    fn gelu_tanh_backward(x: &[f32], grad: &[f32], out: &mut [f32]) {
        for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
            let (tanh, inner) = gelu_tangent(*x);
            *out = *grad * 0.5 * (1.0 + tanh + *x * (1.0 - tanh * tanh) * inner);
        }
    }

    fn relu(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = if *x < 0.0 { 0.0 } else { *x };
        }
    }

    fn relu_backward(x: &[f32], grad: &[f32], out: &mut [f32]) {
        for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
            *out = if *x > 0.0 { *grad } else { 0.0 };
        }
    }

    fn silu(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = *x * sigmoid(*x);
        }
    }

    fn silu_backward(x: &[f32], grad: &[f32], out: &mut [f32]) {
        for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
            let s = sigmoid(*x);
            *out = *grad * (s + *x * s * (1.0 - s));
        }
    }

    /// `x *= y`.
    pub(super) fn scale(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x *= *y;
        }
    }

    /// `out = x Φ(x)`.
    pub(super) fn gelu(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = *x * normal(*x).0;
        }
    }

    /// `out = grad (Φ(x) + x φ(x))`.
    pub(super) fn gelu_backward(x: &[f32], grad: &[f32], out: &mut [f32]) {
        const PEAK: f32 = 0.398_942_3;
        for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
            let (below, bell) = normal(*x);
            *out = *grad * (below + *x * bell * PEAK);
        }
    }

    /// One row of layer normalisation.
    pub(super) fn affine_norm(x: &[f32], scale: &[f32], shift: &[f32], epsilon: f32, out: &mut [f32]) {
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
    pub(super) fn affine_norm_backward(
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
    pub(super) fn root_norm(x: &[f32], scale: &[f32], epsilon: f32, out: &mut [f32]) {
        let n = x.len();
        let (scale, out) = (&scale[..n], &mut out[..n]);
        let inverse = 1.0 / (sum(n, |i| x[i] * x[i]) / n as f32 + epsilon).sqrt();
        for i in 0..n {
            out[i] = x[i] * inverse * scale[i];
        }
    }

    /// Its gradient; adds to that of scale.
    pub(super) fn root_norm_backward(x: &[f32], scale: &[f32], grad: &[f32], epsilon: f32, out: &mut [f32], scale_grad: &mut [f32]) {
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
    pub(super) fn gated_silu(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = *gate * sigmoid(*gate) * *up;
        }
    }

    /// Its gradients for gate and up.
    pub(super) fn gated_silu_backward(gate: &[f32], up: &[f32], grad: &[f32], gate_grad: &mut [f32], up_grad: &mut [f32]) {
        let n = gate.len();
        let (up, grad, gate_grad, up_grad) = (&up[..n], &grad[..n], &mut gate_grad[..n], &mut up_grad[..n]);
        for i in 0..n {
            let s = sigmoid(gate[i]);
            let silu = gate[i] * s;
            up_grad[i] = grad[i] * silu;
            gate_grad[i] = grad[i] * up[i] * (s + silu * (1.0 - s));
        }
    }

    /// One head's pairs, turned where they are; `back` when `sign` is -1.
    pub(super) fn turn_pairs(x: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        let (low, high) = x.split_at_mut(half);
        let (high, sin) = (&mut high[..half], &sin[..half]);
        for i in 0..half {
            let (a, b, sin) = (low[i], high[i], sign * sin[i]);
            low[i] = a * cos[i] - b * sin;
            high[i] = b * cos[i] + a * sin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_is_right_to_2e_7() {
        // From tables: Φ(0), Φ(1), Φ(1.96), Φ(3).
        for (x, expected) in [(0.0, 0.5), (1.0, 0.841_344_8), (1.96, 0.975_002_1), (3.0, 0.998_650_1)] {
            assert!((normal(x).0 - expected).abs() < 2e-7, "{x}");
            assert!((normal(-x).0 - (1.0 - expected)).abs() < 2e-7, "-{x}");
        }
    }
}
