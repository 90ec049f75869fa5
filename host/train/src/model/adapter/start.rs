//! The start of an adapter that begins as a part of its base.
//!
//! The base stays as it is stored: shared, in its own format, known by its digest. Beside A and B the model keeps them as they
//! began, which is taken off again wherever the adapter is added: `W + s (B A - B₀ A₀)`. At first that is `W` bit for bit. They
//! are parameters that never learn, and go into checkpoints, so that no run depends on finding the same directions again. Price:
//! two more thin products a pass, `r (in + out)` numbers in memory and in each checkpoint.

use rayon::prelude::*;
use retune_tensor::from_float32;

use super::principal::{Search, Stored, parts};
use super::{InitLoraWeights, Placed};
use crate::model::{Model, ModelError, initial};

impl Model {
    /// Finds the start of every adapter that begins as a part of the base, and puts it there.
    ///
    /// # Errors
    /// Names a matrix that is not finite.
    pub(in crate::model) fn start_adapter(&mut self) -> Result<(), ModelError> {
        let Some(adapted) = self.adapter().filter(|adapted| adapted.spec.init_lora_weights.is_principal()) else {
            return Ok(());
        };
        let start = adapted.spec.init_lora_weights;
        let placed: Vec<(Placed, [usize; 2])> =
            adapted.placed.iter().filter_map(|placed| Some((*placed, placed.start?))).collect();
        // So many at a time as there are threads: each has copies of its matrix.
        for some in placed.chunks(rayon::current_num_threads()) {
            let matrices = some.iter().map(|(placed, _)| {
                let (values, shape) = self.matrix_of(placed)?;
                Ok((placed, values, shape, self.search(placed, start)))
            });
            let matrices = matrices.collect::<Result<Vec<_>, ModelError>>()?;
            let found = matrices.into_par_iter().map(|(placed, values, shape, search)| {
                let stored = Stored { values: &values, shape, transposed: placed.transposed };
                parts(&stored, placed.r, placed.scale, search)
            });
            let found: Vec<[Vec<f32>; 2]> = found.collect();
            for ((placed, starts), parts) in some.iter().zip(found) {
                for ((index, start), values) in [placed.a, placed.b].into_iter().zip(*starts).zip(parts) {
                    for index in [index, start] {
                        let shape = self.parameters.at(index).map(|p| p.shape().to_vec()).unwrap_or_default();
                        let value = from_float32(values.clone(), &shape, &self.device)?;
                        self.parameters.set_value(index, value)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts A or B back to where it began; as it began, it stays.
    pub(in crate::model) fn restart_adapter(&mut self, index: usize) -> Result<(), ModelError> {
        let all = self.adapter().into_iter().flat_map(|adapted| &adapted.placed);
        let pairs = all.filter_map(|placed| Some([placed.a, placed.b].into_iter().zip(placed.start?))).flatten();
        let start = pairs.into_iter().find(|(own, _)| *own == index).map(|(_, start)| start);
        match start.and_then(|start| self.parameters.at(start)) {
            Some(start) => {
                let value = start.value.clone();
                self.parameters.set_value(index, value)
            }
            None => Ok(()),
        }
    }

    /// Values and shape of what is adapted.
    fn matrix_of(&self, placed: &Placed) -> Result<(Vec<f32>, [usize; 2]), ModelError> {
        let parameter =
            self.parameters.at(placed.weight).ok_or_else(|| ModelError::request("an adapter without a matrix"))?;
        let values = parameter.value.to_float32()?;
        if let Some(first) = values.iter().position(|x| !x.is_finite()) {
            return Err(ModelError::adapter(
                "init_lora_weights",
                format!("`{}` is not finite: value {first} is {}", parameter.name, values[first]),
                "take another copy of the base",
            ));
        }
        match parameter.shape() {
            &[rows, columns] => Ok((values, [rows, columns])),
            _ => Err(ModelError::request(format!("`{}` is not a matrix", parameter.name))),
        }
    }

    fn search(&self, placed: &Placed, start: InitLoraWeights) -> Search {
        let name = self.parameters.at(placed.a).map_or("", |parameter| parameter.name.as_str());
        match start {
            InitLoraWeights::PissaNiter(rounds) => Search::Rounds { rounds, seed: initial::seed_of(self.seed, name) },
            _ => Search::Exact,
        }
    }
}
