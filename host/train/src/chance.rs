//! The run's only source of chance: a hash of the seed and of what is drawn.
//!
//! Nothing is drawn from a stream that runs along with the training, so there is
//! no generator state to save: order and dropout are functions of
//! `(seed, purpose, place)`, and a resumed run meets the same chance.

/// What a number is drawn for. Purposes never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// The order of rows in an epoch.
    Order = 1,
    /// The dropout masks of a row in a step.
    Dropout = 2,
    /// New weights of a parameter.
    Reinitialize = 3,
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014): a bijection that mixes well.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of `place` (outer, inner) for `purpose`.
pub fn seed_of(seed: u64, purpose: Purpose, outer: u64, inner: u64) -> u64 {
    [purpose as u64, outer, inner].into_iter().fold(mix(seed), |state, part| mix(state ^ mix(part)))
}

/// A short-lived stream of numbers below a bound.
pub struct Stream(u64);

impl Stream {
    /// The stream that `seed` begins.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Uniform in `0..bound` without bias (Lemire 2019); `bound` is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.next()) * u128::from(bound);
            if wide as u64 >= threshold {
                return (wide >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn places_and_purposes_do_not_share_seeds() {
        let mut seen = HashSet::new();
        for purpose in [Purpose::Order, Purpose::Dropout, Purpose::Reinitialize] {
            for outer in 0..40 {
                for inner in 0..40 {
                    assert!(seen.insert(seed_of(7, purpose, outer, inner)), "{purpose:?} {outer} {inner}");
                }
            }
        }
    }

    #[test]
    fn every_value_below_the_bound_is_equally_likely() {
        let mut stream = Stream::new(3);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        // Six degrees of freedom: chi-square above 22.5 has probability 0.001.
        let chi: f64 = counts.iter().map(|&n| (f64::from(n) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 22.5, "{counts:?}");
    }
}
