//! Seeds of everything random in a run, derived from the run's one seed.
//!
//! No generator runs along with the training, so none has to be saved: data order and
//! dropout are functions of `(seed, purpose, step, row)`, and a resumed run draws the same.

use retune_tensor::random::mix;

/// What a number is drawn for. Purposes never share numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// The order of rows in an epoch.
    Order = 1,
    /// The dropout masks of a row in a step.
    Dropout = 2,
    /// New weights of a parameter.
    Reinitialize = 3,
    /// A token of an answer.
    Generation = 4,
    /// The dropout masks of a document packed behind others of a row.
    Document = 5,
    /// Which rows of an evaluation set are asked.
    Asked = 7,
}

/// The seed of one draw of `purpose`, told apart by two numbers.
pub(crate) fn seed_of(seed: u64, purpose: Purpose, outer: u64, inner: u64) -> u64 {
    [purpose as u64, outer, inner].into_iter().fold(mix(seed), |state, part| mix(state ^ mix(part)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn places_and_purposes_do_not_share_seeds() {
        let mut seen = HashSet::new();
        let purposes = [
            Purpose::Order,
            Purpose::Dropout,
            Purpose::Reinitialize,
            Purpose::Generation,
            Purpose::Document,
            Purpose::Asked,
        ];
        for purpose in purposes {
            for outer in 0..40 {
                for inner in 0..40 {
                    assert!(seen.insert(seed_of(7, purpose, outer, inner)), "{purpose:?} {outer} {inner}");
                }
            }
        }
    }
}
