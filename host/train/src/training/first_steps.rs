//! Steps that teach nothing.
//!
//! A loss can be right in every form and still lead nowhere: multiplied by zero, or saturated. The loss it reports says nothing
//! of that, and weight decay moves the weights all the same. So the first steps are looked at: when the gradient of none of them
//! has a number that is not zero, that is told, once. A step whose loss has a denominator of zero is left out; that is told of the
//! first such step, of the tenth, of the hundredth, and so on. Price: nothing, but for steps whose gradient has the norm zero.

use crate::{error::TrainError, training::step::StepSums};

/// Steps without a gradient before it is told.
const STEPS: u64 = 3;

/// What has been seen of the steps since the run began or went on.
#[derive(Debug, Default)]
pub(crate) struct FirstSteps {
    still: u64,
    /// Steps whose loss had a denominator of zero.
    left_out: u64,
    /// A gradient was seen, or it was told that there is none.
    done: bool,
}

impl FirstSteps {
    /// Counts a step whose loss has nothing to divide by; gives what is to be told.
    pub fn leave_out(&mut self, loss: &str) -> Option<String> {
        self.left_out += 1;
        let told = std::iter::successors(Some(1_u64), |told| told.checked_mul(10));
        let often = match self.left_out {
            1 => String::new(),
            count => format!("; this is the {count}th such step"),
        };
        told.take_while(|told| *told <= self.left_out).any(|told| told == self.left_out).then(|| {
            format!(
                "the denominator of loss {loss} is 0: no row of this step carries a loss, so nothing was learnt from it{often}"
            )
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_without_a_loss_are_told_less_and_less_often() {
        let mut steps = FirstSteps::default();
        let told: Vec<(u32, String)> =
            (1..=2_000).filter_map(|step| steps.leave_out("focal").map(|told| (step, told))).collect();
        assert_eq!(told.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 10, 100, 1_000]);
        assert_eq!(
            told[1].1,
            "the denominator of loss focal is 0: no row of this step carries a loss, so nothing was learnt from it; this \
             is the 10th such step"
        );
    }
}
