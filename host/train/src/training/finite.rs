//! No weight that is not a finite number is kept or exported, and the run says who made it one.
//!
//! On the host the optimiser's sweep sees it at once. Otherwise it is looked for where it costs nothing against what is done
//! anyway: before weights are written, and when a loss is not finite, which infinite weights make it. Who is to blame is whoever
//! last changed the layer's rates or weights: a policy, else the recipe's learning rate.

use crate::{
    error::TrainError, freeze::authors::Author, optimizer::gradients::read_scalars, training::trainer::Trainer,
};

impl Trainer<'_> {
    /// Refuses to go on, or to write, when a weight that may have changed is not finite.
    ///
    /// # Errors
    /// Names the parameter and the author.
    pub(crate) fn check_weights(&self) -> Result<(), TrainError> {
        let learns = |index: &usize| self.model.parameters().at(*index).is_some_and(|p| p.may_learn);
        let indices: Vec<usize> = (0..self.model.parameters().len()).filter(learns).collect();
        let failed = || TrainError::tensor("looking for weights that are not finite");
        let sums = indices.iter().filter_map(|index| self.model.parameters().at(*index)).map(|parameter| {
            // Zero times what is not finite is no number, and stays so in the sum.
            parameter.value.untracked().mul_scalar(0.0)?.sum(&[], false)
        });
        let sums = sums.collect::<Result<Vec<_>, _>>().map_err(failed())?;
        let read = read_scalars(&sums).map_err(failed())?;
        match indices.iter().zip(read).find(|(_, sum)| !sum.is_finite()) {
            Some((&index, _)) => Err(self.not_finite(index, self.state.step)),
            None => Ok(()),
        }
    }

    /// The error, or the one about the weights that are its true cause; and a policy that gave them anew, which is a cause too
    /// where all of them are finite.
    pub(crate) fn blamed(&self, error: TrainError) -> TrainError {
        if !matches!(error, TrainError::NonFinite { .. }) {
            return error;
        }
        let newest = self.state.authors.values().filter(|author| author.action.starts_with("reinit"));
        match (self.check_weights(), newest.max_by_key(|author| author.step)) {
            (Err(weights), _) => weights,
            (Ok(()), None) => error,
            (Ok(()), Some(Author { policy, action, step })) => TrainError::AfterNewWeights {
                error: Box::new(error),
                change: format!("policy {policy} gave layers new weights ({action}) at step {step}"),
            },
        }
    }

    /// The error about a parameter that is not finite after `step` steps.
    pub(crate) fn not_finite(&self, index: usize, step: u64) -> TrainError {
        let Some(parameter) = self.model.parameters().at(index) else {
            return TrainError::Data { problem: format!("there is no parameter {index}"), help: None };
        };
        let values = parameter.value.to_float32().unwrap_or_default();
        let mut bad = values.iter().filter(|value| !value.is_finite());
        let first = bad.next().copied().unwrap_or(f32::NAN);
        let found = format!("{} of {} values, the first of which is {first}", 1 + bad.count(), values.len());
        let rate = self.spec.optimizer.learning_rate;
        let layer = self.model.layers().get(parameter.layer).map_or_else(String::new, |layer| layer.name.clone());
        let (cause, help) = match self.state.authors.get(&parameter.layer) {
            Some(Author { policy, action, step }) => (
                format!("policy {policy} gave `{layer}` {action} at step {step}"),
                format!("have policy {policy} change less, or leave it out of the recipe"),
            ),
            None => (
                format!("the learning rate is {rate:e} and the weight decay {:e}", self.spec.optimizer.weight_decay),
                "lower optimizer.learning_rate (1e-6 to 1e-3 is usual)".to_owned(),
            ),
        };
        TrainError::Weights { step, parameter: parameter.name.clone(), found, cause, help }
    }
}
