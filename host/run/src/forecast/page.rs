//! A forecast as it is printed: a table of parts that add up, what there is, and what would make it fit.

use std::fmt::Write as _;

use super::advice::Advice;
use super::outlook::{Forecast, Lengths};
use crate::words::{amount, bytes, count, duration};

/// Columns that the longest bar takes.
const BAR: usize = 32;

/// Eighths of a column, from none to seven.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

impl Forecast {
    /// For people; with `bars` for a terminal.
    pub fn page(&self, bars: bool) -> String {
        let share = 100.0 * self.trainable as f64 / self.parameters.max(1) as f64;
        let mut out = format!("{}: {}, {} parameters, ", self.name, self.architecture, amount(self.parameters));
        let _ = match self.trainable == self.parameters {
            true => writeln!(out, "all of which learn\n"),
            false => writeln!(out, "{} of which learn ({share:.2} %)\n", amount(self.trainable)),
        };
        self.parts(&mut out, bars);
        let row = |out: &mut String, name: &str, text: &str| {
            let _ = writeln!(out, "{name:<14} {text}");
        };
        out.push('\n');
        let from = match self.lengths {
            Lengths::Rows => "of the prepared rows",
            Lengths::MaxLength => "if every row has data.max_length",
        };
        row(&mut out, "largest batch", &format!("{} tokens, {from}", count(self.largest_batch)));
        if let Some(cut) = self.cut.filter(|cut| cut.rows > 0) {
            let (rows, of, longest) = (count(cut.rows), count(cut.of), cut.max_length);
            row(
                &mut out,
                "cut",
                &format!("{rows} of {of} rows of train are longer than data.max_length = {longest}, and lose the rest"),
            );
        }
        if let Some(steps) = self.steps {
            let tokens = self.tokens.map_or(String::new(), |tokens| format!(", {} tokens in all", count(tokens)));
            let of = format!("{} of {} {}{tokens}", count(steps), count(self.rows_per_step), self.unit.as_str());
            row(&mut out, "steps", &of);
        }
        if let Some(measured) = &self.measured {
            let (seconds, rate) = (duration(measured.seconds), count(measured.tokens_per_second.round() as u64));
            let steps = count(measured.steps);
            let time =
                format!("{seconds} for all steps, without evaluations: {rate} tokens a second over {steps} steps");
            row(&mut out, "time", &time);
            if let Some(peak) = measured.peak_memory {
                let off = 100.0 * (self.memory.peak as f64 / peak as f64 - 1.0);
                let so_far = format!("{} at most in these steps; the forecast is {off:+.0} % of it", bytes(peak));
                row(&mut out, "measured", &so_far);
            }
        }
        self.verdict(&mut out);
        out
    }

    /// The parts when all together are most, in the order of a run, and the most of each at whatever moment.
    fn parts(&self, out: &mut String, bars: bool) {
        let memory = &self.memory;
        let (now, most) = (memory.at_peak.each(), memory.most.each());
        let largest = now.iter().map(|(_, size)| *size).max().unwrap_or(0);
        let size = |size: u64| if size == 0 { "-".to_owned() } else { bytes(size) };
        let _ = writeln!(out, "  {:<21} {:>11} {:>11}", "", "at the peak", "at most");
        for ((name, at_peak), (_, most)) in now.into_iter().zip(most).filter(|(_, (_, most))| *most > 0) {
            let bar = if bars { format!("  {}", bar(at_peak, largest)) } else { String::new() };
            let line = format!("  {name:<21} {:>11} {:>11}{bar}", size(at_peak), size(most));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let _ = writeln!(out, "  {:<21} {:>11}   {}", "together", bytes(memory.peak), memory.moment.as_str());
    }

    fn verdict(&self, out: &mut String) {
        let (Some(available), Some(fits)) = (self.available, self.fits) else { return };
        let peak = self.memory.peak;
        let left = bytes(available.abs_diff(peak));
        if fits {
            let _ = writeln!(out, "\nit fits into {}: {left} to spare", bytes(available));
            return;
        }
        let _ = writeln!(out, "\nit does not fit into {}: {left} more than that", bytes(available));
        match self.advice.as_slice() {
            [] => out.push_str("no key of the recipe makes it fit; take a smaller model\n"),
            [one] => {
                out.push_str("this makes it fit:\n");
                told(out, one);
            }
            several => {
                out.push_str("any one of these makes it fit:\n");
                several.iter().for_each(|advice| told(out, advice));
            }
        }
    }
}

/// What a recipe comes to with some changes, and below each of these what it means.
fn told(out: &mut String, advice: &Advice) {
    let mut peak = bytes(advice.peak);
    for change in &advice.changes {
        let _ = writeln!(out, "  {peak:>10}  {}", change.set.join(", "));
        let _ = writeln!(out, "  {:>10}      {}", "", change.meaning);
        peak = String::new();
    }
}

/// As long as `size` is of `largest`, in eighths of a column.
fn bar(size: u64, largest: u64) -> String {
    let eighths = (u128::from(size) * (8 * BAR) as u128).div_ceil(u128::from(largest.max(1))) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_part_has_the_longest_bar_and_the_smallest_is_seen() {
        assert_eq!(bar(100, 100), "█".repeat(BAR));
        assert_eq!(bar(1, 1_000_000_000), "▏");
        assert_eq!(bar(0, 100), "");
        assert_eq!(bar(3, 64), "█▌");
    }
}
