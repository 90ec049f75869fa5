//! Random factors of dropout: a pure function of seed, site and place.
//!
//! Probabilities are rounded to a multiple of 2⁻¹⁶, and kept units are scaled by exactly the inverse of the rounded
//! probability. Price: about a quarter of a nanosecond a value.

use retune_tensor::random::{bits, mix};

/// A dropout of the model; distinct numbers give independent masks.
pub type Site = u64;

/// How many units drop out, and what the rest are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    dropped: u64,
    kept: f32,
}

impl Rate {
    /// `None` when nothing drops out.
    pub(super) fn new(probability: f64) -> Option<Self> {
        let dropped = (probability * 65536.0).round().clamp(0.0, 65535.0) as u64;
        (dropped > 0).then(|| Self { dropped, kept: (65536.0 / (65536 - dropped) as f64) as f32 })
    }

    /// Draws of 16 bits below this number drop their unit out.
    pub(super) fn dropped(self) -> u64 {
        self.dropped
    }

    /// What the rest is multiplied by.
    pub(super) fn kept(self) -> f32 {
        self.kept
    }

    /// The factors of a line, zero or the inverse of the share that is kept, beginning with value `4 * counter`.
    #[inline]
    pub(super) fn fill(self, stream: u64, counter: u64, factors: &mut [f32]) {
        // Four 16-bit draws from each counter value.
        for (four, counter) in factors.chunks_mut(4).zip(counter..) {
            let drawn = bits(stream, counter);
            for (lane, value) in four.iter_mut().enumerate() {
                *value = if (drawn >> (16 * lane)) & 0xFFFF >= self.dropped { self.kept } else { 0.0 };
            }
        }
    }
}

/// The random stream of one line: a position of a row of hidden states, or a query's probabilities.
#[inline]
pub(super) fn stream(seed: u64, site: Site, place: u64) -> u64 {
    mix(seed ^ place_of(site, place))
}

/// What a stream is made of besides the seed of its row.
#[inline]
pub(super) fn place_of(site: Site, place: u64) -> u64 {
    mix(site.wrapping_add(1) ^ mix(place))
}
