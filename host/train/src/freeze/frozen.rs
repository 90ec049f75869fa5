//! The proof that frozen parameters did not change.
//!
//! A parameter's digest is taken when it is frozen and compared when it is thawed
//! and when the run ends. A difference is a fault of this program and an error.
//!
//! Price: one SHA-256 over the frozen bytes at each end, nothing in between. On the CPU a value is
//! read where it lies.

use std::collections::BTreeMap;

use retune_roles::digest::hex;
use serde::{Deserialize, Serialize};

use crate::{error::TrainError, model::Model};

/// Digests of what is frozen now, by parameter name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frozen(BTreeMap<String, Entry>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    digest: String,
    since: u64,
}

impl Frozen {
    /// Takes the digests of all parameters that do not learn.
    pub fn of(model: &mut Model) -> Result<Self, TrainError> {
        let mut frozen = Self::default();
        for index in 0..model.parameters().len() {
            if model.parameters().at(index).is_some_and(|p| !p.trainable) {
                frozen.add(model, index, 0)?;
            }
        }
        Ok(frozen)
    }

    /// Takes the digest of a parameter that is frozen from `step` on, or was given
    /// new weights while frozen.
    pub fn add(&mut self, model: &mut Model, index: usize, step: u64) -> Result<(), TrainError> {
        if let Some(parameter) = model.parameters().at(index) {
            let name = parameter.name.clone();
            let digest = hex(&model.parameters_mut().fingerprint_in_place(index)?);
            self.0.insert(name, Entry { digest, since: step });
        }
        Ok(())
    }

    /// Compares a parameter that learns again from `step` on, and forgets it.
    pub fn remove(&mut self, model: &mut Model, index: usize, step: u64) -> Result<(), TrainError> {
        if let Some(parameter) = model.parameters().at(index) {
            let name = parameter.name.clone();
            if let Some(entry) = self.0.remove(&name) {
                compare(model, index, &name, &entry, step)?;
            }
        }
        Ok(())
    }

    /// How many are frozen.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Compares everything that is frozen.
    pub fn verify(&self, model: &mut Model, step: u64) -> Result<(), TrainError> {
        for (name, entry) in &self.0 {
            if let Some(index) = model.parameters().index_of(name) {
                compare(model, index, name, entry, step)?;
            }
        }
        Ok(())
    }
}

fn compare(model: &mut Model, index: usize, name: &str, entry: &Entry, step: u64) -> Result<(), TrainError> {
    if hex(&model.parameters_mut().fingerprint_in_place(index)?) == entry.digest {
        Ok(())
    } else {
        Err(TrainError::FrozenChanged { parameter: name.to_string(), since: entry.since, step })
    }
}
