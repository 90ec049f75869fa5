//! Whether the first steps of a run learn anything.
//!
//! A loss can be right in every form and still lead nowhere: multiplied by zero, or saturated. The loss it reports says nothing
//! of that, and weight decay moves the weights all the same. So the first steps are looked at: when the gradient of none of them
//! has a number that is not zero, that is told, once. Price: nothing, but for steps whose gradient has the norm zero.

use crate::{error::TrainError, training::step::StepSums};

/// Steps without a gradient before it is told.
const STEPS: u64 = 3;

/// What has been seen of the steps since the run began or went on.
#[derive(Debug, Default)]
pub(crate) struct FirstSteps {
    still: u64,
    /// A gradient was seen, or it was told that there is none.
    done: bool,
}

impl FirstSteps {
    /// Looks at a step that carries a loss, the `last` of the run or not; gives what is to be told.
    pub fn look(&mut self, sums: &StepSums, loss: &str, last: bool) -> Result<Option<String>, TrainError> {
        if self.done {
            return Ok(None);
        }
        let norm: f64 = sums.squared_norms.iter().flatten().sum();
        if norm != 0.0 || !sums.gradients.are_zero().map_err(TrainError::tensor("looking at the gradient"))? {
            self.done = true;
            return Ok(None);
        }
        self.still += 1;
        self.done = last || self.still == STEPS;
        let steps =
            if self.still == 1 { "the first step".to_owned() } else { format!("the first {} steps", self.still) };
        let message = format!(
            "the gradient of loss {loss} was exactly zero everywhere in {steps}, so nothing is learnt from it: look for a factor of \
             zero, or a function that is flat where the model's outputs are"
        );
        Ok(self.done.then_some(message))
    }
}
