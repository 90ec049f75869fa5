//! How the layers are doing, gathered step by step for policies that ask.
//!
//! Nothing is gathered when no policy wants statistics. Each policy has its own
//! sums, emptied when it is asked. Part of the checkpoint, so that a resumed run
//! tells its policies the same numbers.

use retune_roles::LayerStats;
use serde::{Deserialize, Serialize};

use crate::{
    error::TrainError,
    files::exact::Exact,
    model::Model,
    optimizer::gradients::{Floats, read_scalars, squared_norm},
};

/// Sums of gradient norms for one policy, one entry a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    norms: Vec<Exact>,
    steps: Vec<u64>,
}

/// What was gathered since each policy was last asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watch {
    policies: Vec<Sums>,
    updates: Vec<Option<Exact>>,
}

impl Watch {
    /// For `policies` policies and `layers` layers.
    pub fn new(policies: usize, layers: usize) -> Self {
        let empty = Sums { norms: vec![Exact(0.0); layers], steps: vec![0; layers] };
        Self { policies: vec![empty; policies], updates: vec![None; layers] }
    }

    /// Takes in one step: squared norms of gradients (times `scale` squared) and of updates, one a parameter.
    pub fn record(&mut self, model: &Model, gradients: &[Option<f64>], scale: f64, updates: &[Option<f64>]) {
        let layers = self.updates.len();
        let gradients = by_layer(model, gradients, layers);
        let updates = by_layer(model, updates, layers);
        for (layer, (gradient, update)) in gradients.into_iter().zip(updates).enumerate() {
            if let Some(squared) = gradient {
                for sums in &mut self.policies {
                    sums.norms[layer].0 += squared.sqrt() * scale;
                    sums.steps[layer] += 1;
                }
            }
            self.updates[layer] = update.map(|squared| Exact(squared.sqrt()));
        }
    }

    /// What policy `policy` is told. Its sums start again unless `keep`: a restart
    /// must not change what the policy is told next.
    pub fn stats(&mut self, policy: usize, model: &Model, keep: bool) -> Result<Vec<LayerStats>, TrainError> {
        let layers = model.layers();
        let weights = weight_norms(model, layers.len())?;
        let trainable = trainable(model, layers.len());
        let sums = &mut self.policies[policy];
        let mut stats = Vec::with_capacity(layers.len());
        for (index, layer) in layers.into_iter().enumerate() {
            let (steps, norm) = (sums.steps[index], sums.norms[index].0);
            if !keep {
                (sums.steps[index], sums.norms[index].0) = (0, 0.0);
            }
            let learnt = trainable[index] && steps > 0;
            let update = self.updates[index].filter(|_| trainable[index]).map(|norm| norm.0);
            stats.push(LayerStats {
                name: layer.name,
                trainable: trainable[index],
                grad_norm: learnt.then(|| norm / steps as f64),
                weight_norm: weights[index],
                update_ratio: update.map(|norm| if weights[index] > 0.0 { norm / weights[index] } else { 0.0 }),
            });
        }
        Ok(stats)
    }
}

/// Which layers have a parameter that learns.
pub(crate) fn trainable(model: &Model, layers: usize) -> Vec<bool> {
    let mut learns = vec![false; layers];
    for parameter in model.parameters() {
        learns[parameter.layer] |= parameter.trainable;
    }
    learns
}

/// Adds up one number a parameter into one a layer; `None` where no parameter has one.
fn by_layer(model: &Model, values: &[Option<f64>], layers: usize) -> Vec<Option<f64>> {
    let mut sums = vec![None; layers];
    for (parameter, value) in model.parameters().iter().zip(values) {
        if let Some(value) = value {
            *sums[parameter.layer].get_or_insert(0.0) += value;
        }
    }
    sums
}

/// Euclidean norm of each layer's weights; one readback.
fn weight_norms(model: &Model, layers: usize) -> Result<Vec<f64>, TrainError> {
    let failed = || TrainError::tensor("measuring weights");
    let mut squared = vec![None; model.parameters().len()];
    let mut on_device = Vec::new();
    for (index, parameter) in model.parameters().iter().enumerate() {
        match Floats::new(parameter.value.clone()).map_err(failed())? {
            Floats::Host(values) => squared[index] = Some(squared_norm(&values)),
            Floats::Device(value) => {
                on_device.push(value.mul(&value).and_then(|v| v.sum(&[], false)).map_err(failed())?)
            }
        }
    }
    let mut read = read_scalars(&on_device).map_err(failed())?.into_iter();
    for slot in &mut squared {
        if slot.is_none() {
            *slot = read.next();
        }
    }
    Ok(by_layer(model, &squared, layers).into_iter().map(|sum| sum.unwrap_or(0.0).sqrt()).collect())
}
