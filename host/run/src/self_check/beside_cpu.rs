//! A step of a model beside the same step by the CPU's own kernels.

use retune_tensor::Device;
use retune_tensor::transfer::so_far;
use retune_train::TrainError;
use retune_train::model::{Model, ModelError};

use super::finding::Finding;
use super::rows::{self, gradients};
use super::tolerance::{both, gradients_off, sums};

/// Rows of the step.
const ROWS: usize = 6;
/// Tokens of its longest row, where a model has so many positions.
const LONGEST: usize = 24;

/// What one side computed.
struct Side {
    loss: f64,
    gradients: Vec<Vec<f32>>,
    reads: u64,
}

/// Compares a step of the model that `load` puts on a device, in micro-batches and with dropout where it has any. With `recompute` the
/// device makes activations a second time, and the CPU keeps them.
pub(super) fn step(
    (check, of): (&str, &str),
    device: &Device,
    recompute: bool,
    load: impl Fn(&Device) -> Result<Model, ModelError>,
) -> Result<Vec<Finding>, TrainError> {
    let seen = std::cell::Cell::new(false);
    let (found, expected) = both(device, |on| {
        let mut model = load(on)?;
        // The device is asked first.
        model.set_gradient_checkpointing(recompute && !seen.replace(true));
        side(&model)
    })?;
    let loss = (found.loss - expected.loss).abs();
    let pairs: Vec<_> = found.gradients.into_iter().zip(expected.gradients).collect();
    let off = gradients_off(&pairs, device);
    let bound = sums(device);
    Ok(vec![
        Finding::difference(format!("{check}: loss beside the CPU's"), of, loss, bound),
        Finding::difference(format!("{check}: gradients beside the CPU's"), of, off, bound),
        Finding::difference(format!("{check}: pieces that are read back"), of, found.reads as f64, 2.0),
    ])
}

fn side(model: &Model) -> Result<Side, TrainError> {
    let shape = &model.config().shape;
    let longest = LONGEST.min(shape.longest_row());
    let rows = rows::random(model.task(), shape.vocab_size, ROWS, longest);
    let before = so_far();
    let sums = rows::step(model, &rows, ROWS / 2, Some(5))?;
    let reads = (so_far() - before).reads;
    Ok(Side { loss: sums.loss(), gradients: gradients(&sums)?, reads })
}
