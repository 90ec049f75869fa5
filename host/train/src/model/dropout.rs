//! Which units drop out: a function of the row, the place and the position.
//!
//! Each document of a batch brings a seed: a row, or each of the rows that are packed into one. A mask value depends on
//! that seed, on the site (which dropout of the model) and on the position inside the document, and on
//! nothing else: neither on padding, nor on which rows share the batch or the sequence, nor on
//! the number of threads. So splitting a batch into micro-batches, or resuming a
//! run, drops the very same units.
//!
//! On the CPU no mask exists: the factors of a line are drawn in the pass that
//! multiplies by them, about a quarter of a nanosecond a value, and again in the backward pass. Other
//! devices make the same factors from the streams of the lines, eight bytes a line; see `nn/kernels/factors.rs`.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::Layout;
use super::mask::{Rate, Site};
use super::nn::{Dropped, DroppedLines, drop_lines};

/// One seed a document of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropoutSeeds(Arc<[u64]>);

impl DropoutSeeds {
    /// One seed a document, in their order: a row has one, unless rows are packed.
    pub fn new(documents: Vec<u64>) -> Self {
        Self(documents.into())
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without documents.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u64>> for DropoutSeeds {
    fn from(documents: Vec<u64>) -> Self {
        Self::new(documents)
    }
}

/// The dropout of one forward pass, or none. A clone is two handles.
#[derive(Clone)]
pub(super) struct Dropout {
    seeds: Option<DropoutSeeds>,
    layout: Arc<Layout>,
}

impl Dropout {
    pub(super) fn new(seeds: Option<&DropoutSeeds>, layout: Arc<Layout>) -> Self {
        Self { seeds: seeds.cloned(), layout }
    }

    /// What drops out of `lines` lines: one for each document, its position 0, or one for each token.
    pub(super) fn of_lines(&self, lines: usize, probability: f64, site: Site) -> Option<DroppedLines> {
        let (rate, seeds) = (Rate::new(probability)?, &self.seeds.as_ref()?.0);
        let places = if lines == seeds.len() {
            seeds.iter().map(|seed| (*seed, 0)).collect()
        } else {
            let documents = self.layout.spans().zip(seeds.iter());
            documents.flat_map(|(span, seed)| (0..span.len() as u64).map(|place| (*seed, place))).collect()
        };
        Some(DroppedLines { rate, site, places })
    }

    /// What drops out of a line for each token.
    pub(super) fn of_tokens(&self, probability: f64, site: Site) -> Option<DroppedLines> {
        self.of_lines(self.layout.tokens(), probability, site)
    }

    /// `x`: `[documents, width]` or `[tokens, width]`.
    pub(super) fn lines(&self, x: Tensor<2>, probability: f64, site: Site) -> Tensor<2> {
        match self.of_lines(x.dims()[0], probability, site) {
            Some(dropped) => drop_lines(x, dropped),
            None => x,
        }
    }

    /// What attention needs to drop probabilities out itself: a seed for each document.
    pub(super) fn attention(&self, probability: f64, site: Site) -> Option<Dropped> {
        let (rate, seeds) = (Rate::new(probability)?, &self.seeds.as_ref()?.0);
        Some(Dropped { rate, seeds: Arc::clone(seeds), site })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use retune_tensor::Device;

    use super::*;

    fn lines(seeds: &[u64], length: usize, site: Site, probability: f64) -> Vec<f32> {
        let device = Device::flex();
        let seeds = DropoutSeeds::new(seeds.to_vec());
        let ones = Tensor::<2>::ones([seeds.len() * length, 8], &device);
        let layout = Arc::new(Layout::new(vec![length; seeds.len()]));
        Dropout::new(Some(&seeds), layout).lines(ones, probability, site).into_data().try_into_vec().unwrap()
    }

    #[test]
    fn a_row_drops_the_same_units_whatever_its_neighbours_and_padding() {
        let alone = lines(&[7], 5, 3, 0.5);
        let padded = lines(&[1, 7], 9, 3, 0.5);
        assert_eq!(alone[..], padded[9 * 8..9 * 8 + 5 * 8]);
    }

    #[test]
    fn sites_rows_and_positions_are_independent() {
        let base = lines(&[7], 64, 3, 0.5);
        for other in [lines(&[7], 64, 4, 0.5), lines(&[8], 64, 3, 0.5)] {
            let equal = base.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!((192..320).contains(&equal), "{equal} of 512 agree; about 256 would by chance");
        }
    }

    #[test]
    fn the_share_and_the_scale_are_those_of_the_probability() {
        let values = lines(&(0..64).collect::<Vec<_>>(), 64, 0, 0.1);
        let dropped = values.iter().filter(|x| **x == 0.0).count() as f64 / values.len() as f64;
        assert!((dropped - 0.1).abs() < 0.01, "{dropped}");
        assert!(values.iter().all(|x| *x == 0.0 || (x - 1.0 / 0.9).abs() < 1e-4));
        assert_eq!(lines(&[1], 4, 0, 0.0), vec![1.0; 32]);
    }
}
