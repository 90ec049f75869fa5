//! Clipping by the global norm, as `torch.nn.utils.clip_grad_norm_`.
//!
//! The norm is that of all gradients laid end to end. When it exceeds the limit,
//! every gradient is scaled by `limit / (norm + 1e-6)`; never up.

/// What to multiply gradients of global norm `norm` by.
pub fn scale(norm: f64, limit: Option<f64>) -> f64 {
    limit.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0))
}

/// Global norm from the parts' sums of squares.
pub fn global_norm<'a>(squared: impl IntoIterator<Item = &'a Option<f64>>) -> f64 {
    squared.into_iter().flatten().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_that_of_torch() {
        // torch.nn.utils.clip_grad_norm_ on gradients [3, 4] and [12]: norm 13.
        let norm = global_norm(&[Some(25.0), None, Some(144.0)]);
        assert!((norm - 13.0).abs() < 1e-12);
        assert!((scale(norm, Some(1.0)) - 1.0 / 13.000_001).abs() < 1e-15);
        assert_eq!(scale(norm, Some(20.0)), 1.0);
        assert_eq!(scale(norm, None), 1.0);
        assert_eq!(scale(0.0, Some(1.0)), 1.0);
    }
}
