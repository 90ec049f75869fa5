//! A forecast as it is printed.

use std::fmt::Write as _;

use super::outlook::{Forecast, Lengths};
use crate::words::{amount, bytes, count, duration};

impl Forecast {
    /// For a terminal.
    pub fn page(&self) -> String {
        let mut out = format!(
            "{}: {}, {} parameters, {} trainable\n\n",
            self.name,
            self.architecture,
            amount(self.parameters),
            amount(self.trainable)
        );
        let m = &self.memory;
        let rows = [
            ("program and tokenizer", m.process),
            ("prepared rows", m.rows),
            ("weights", m.weights),
            ("moments", m.moments),
            ("gradients", m.gradients),
            ("activations", m.activations),
            ("head", m.head),
            ("workspace", m.workspace),
        ];
        for (name, size) in rows {
            let _ = writeln!(out, "  {name:<22} {:>11}", bytes(size));
        }
        let _ = writeln!(
            out,
            "  {:<22} {:>11}   gradients replace activations, so they do not add up",
            "peak",
            bytes(m.peak)
        );
        let from = match self.lengths {
            Lengths::Rows => "of the prepared rows",
            Lengths::MaxLength => "if every row has data.max_length",
        };
        let _ = writeln!(out, "\nlargest batch  {} tokens, {from}", count(self.largest_batch));
        match (self.steps, self.tokens) {
            (Some(steps), Some(tokens)) => {
                let (steps, rows) = (count(steps), count(self.rows_per_step));
                let _ = writeln!(out, "steps          {steps} of {rows} rows, {} tokens in all", count(tokens));
            }
            (Some(steps), None) => {
                let _ = writeln!(out, "steps          {} of {} rows", count(steps), count(self.rows_per_step));
            }
            (None, _) => {}
        }
        if let Some(measured) = &self.measured {
            let _ = writeln!(
                out,
                "time           {} for all steps, without evaluations: {} tokens a second over {} steps",
                duration(measured.seconds),
                count(measured.tokens_per_second.round() as u64),
                count(measured.steps)
            );
            if let Some(peak) = measured.peak_memory {
                let off = 100.0 * (m.peak as f64 / peak as f64 - 1.0);
                let _ =
                    writeln!(out, "measured       {} at most so far; the forecast is {off:+.0} % of it", bytes(peak));
            }
        }
        self.fits(&mut out);
        out
    }

    fn fits(&self, out: &mut String) {
        let Some(available) = self.available else { return };
        if self.memory.peak <= available {
            let _ = writeln!(out, "\nit fits into {}", bytes(available));
            return;
        }
        let _ = writeln!(out, "\nit does not fit into {}", bytes(available));
        if self.advice.is_empty() {
            let _ = writeln!(out, "no key of the recipe makes it fit; take a smaller model");
            return;
        }
        let _ = writeln!(out, "what makes it fit, any one of:");
        for advice in &self.advice {
            let _ = writeln!(out, "  {}   {}: {}", advice.set.join(", "), bytes(advice.peak), advice.meaning);
        }
    }
}
