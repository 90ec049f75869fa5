//! What is known of a row of logits, forward and backward.
//!
//! Forward, a row is folded piece by piece into its maximum and the sums of its score. Backward, three numbers of it
//! turn any piece of its logits into their gradient.

use super::score::Score;
use super::wide;

/// Elements of a row that are folded at a time.
const PIECE: usize = 4096;

/// What has been seen of a row.
#[derive(Clone, Copy)]
pub(super) struct Fold {
    max: f32,
    /// Sum of `e^(x - max)`.
    total: f64,
    /// The class's logit, the sum of the logits, or the sum of `e^(x - max) (x - max)`.
    extra: f64,
}

impl Fold {
    pub(super) const NOTHING: Self = Self { max: f32::MIN, total: 0.0, extra: 0.0 };

    /// More of a row: columns `first..`.
    pub(super) fn take(&mut self, x: &[f32], first: usize, class: i64, score: Score) {
        for (index, piece) in x.chunks(PIECE).enumerate() {
            let Self { max, total, extra } = self;
            match score {
                Score::Entropy => wide::fold_moments(piece, max, total, extra),
                Score::Mean => {
                    wide::fold_exponentials(piece, max, total);
                    wide::fold_sum(piece, extra);
                }
                Score::Label => {
                    wide::fold_exponentials(piece, max, total);
                    let place = (class as usize).checked_sub(first + index * PIECE);
                    if let Some(chosen) = place.and_then(|place| piece.get(place)) {
                        *extra = f64::from(*chosen);
                    }
                }
            }
        }
    }

    /// `y`, `m` and `s`.
    pub(super) fn finish(self, width: usize, score: Score) -> [f32; 3] {
        let (max, log_sum) = (f64::from(self.max), self.total.ln());
        let y = match score {
            Score::Label => self.extra - max - log_sum,
            Score::Mean => self.extra / width as f64 - max - log_sum,
            Score::Entropy => log_sum - self.extra / self.total,
        };
        [y as f32, self.max, log_sum as f32]
    }
}

/// What backward knows of a row.
#[derive(Clone, Copy)]
pub(super) struct Slope {
    pub(super) stats: [f32; 3],
    pub(super) class: i64,
    pub(super) upstream: f32,
}

impl Slope {
    /// Turns logits of columns `first..` into their gradient. `cap` is zero for none.
    pub(super) fn apply(self, x: &mut [f32], first: usize, width: usize, cap: f32, score: Score) {
        let ([y, max, log_sum], upstream) = (self.stats, self.upstream);
        let cap_inverse = if cap == 0.0 { 0.0 } else { 1.0 / cap };
        match score {
            Score::Label => {
                let place = (self.class as usize).checked_sub(first).filter(|place| *place < x.len());
                let chosen = place.map(|place| (place, x[place] * cap_inverse));
                wide::softmax_slope(x, max, log_sum, -upstream, 0.0, cap_inverse);
                if let Some((place, capped)) = chosen {
                    x[place] += upstream * (1.0 - capped * capped);
                }
            }
            Score::Mean => {
                wide::softmax_slope(x, max, log_sum, -upstream, upstream / width as f32, cap_inverse);
            }
            Score::Entropy => wide::entropy_slope(x, max, log_sum, -upstream, y, cap_inverse),
        }
    }
}
