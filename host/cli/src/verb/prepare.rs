//! `retune prepare`: the data alone, with an account of every row.

use std::path::PathBuf;
use std::process::ExitCode;

use retune_data::{CacheUse, DataReport};

use super::common::Common;
use crate::stdout;
use crate::verb::set::Set;
use retune_recipe::diagnostic::Result;
use retune_run::assembly::Assembly;
use retune_run::report::svg::short;
use retune_run::words::count;

/// Arguments of `retune prepare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recipe
    recipe: PathBuf,
    #[command(flatten)]
    set: Set,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let recipe = args.common.on_device(args.set.load(&args.recipe)?);
    let mut console = args.common.console();
    let prepared = Assembly::new(&recipe)?.prepare(&recipe, &mut console)?;
    if args.common.json {
        stdout::json(&prepared.report);
    } else {
        stdout::text(page(&prepared.report));
    }
    Ok(ExitCode::SUCCESS)
}

fn page(report: &DataReport) -> String {
    let mut out = String::new();
    for s in &report.sources {
        let cache = match &s.cache {
            CacheUse::Hit { .. } => "from the cache".to_owned(),
            CacheUse::Miss { .. } => "kept in the cache".to_owned(),
            CacheUse::Rebuilt { .. } => "was damaged in the cache, made again".to_owned(),
            CacheUse::Off { reason } => format!("not cached: {reason}"),
        };
        out.push_str(&format!("{} ({}; {cache})\n", s.path, s.split));
        out.push_str(&format!("  read {}, kept {}\n", count(s.read), count(s.rows)));
        if s.limited > 0 {
            out.push_str(&format!("  left out by limit_per_label: {}\n", count(s.limited)));
        }
        if s.added > 0 {
            out.push_str(&format!("  added by preprocessors: {}\n", count(s.added)));
        }
        for d in &s.dropped {
            out.push_str(&format!(
                "  dropped {} by {}: {} (first: {})\n",
                count(d.count),
                d.stage,
                d.reason,
                d.keys.join(", ")
            ));
        }
    }
    for s in &report.splits {
        out.push_str(&format!(
            "\n{}: {} rows, {} examples, {} tokens, longest {}, {} cut\n",
            s.split,
            count(s.rows),
            count(s.examples),
            count(s.tokens),
            s.longest,
            count(s.truncated)
        ));
        if let Some(fill) = s.fill {
            out.push_str(&format!("  packed: the examples are sequences, {:.1} % full\n", 100.0 * fill));
        }
        let most = s.lengths.iter().map(|b| b.count).max().unwrap_or(1).max(1);
        for bin in &s.lengths {
            let bar = "█".repeat(usize::try_from(bin.count * 40 / most).unwrap_or(0));
            out.push_str(&format!("  {:>5}–{:<5} {:>8}  {bar}\n", bin.from, bin.to, count(bin.count)));
        }
        for value in &s.values {
            let [min, mean, max, std] = [value.min, value.mean, value.max, value.std].map(short);
            out.push_str(&format!("  {}: from {min} to {max}, mean {mean}, standard deviation {std}\n", value.name));
        }
        if s.several_labels + s.unlabelled > 0 {
            out.push_str(&format!(
                "  {} rows with more than one label, {} without any\n",
                count(s.several_labels),
                count(s.unlabelled)
            ));
        }
        if !s.labels.is_empty() {
            let (least, most) = (s.labels.iter().min_by_key(|l| l.count), s.labels.iter().max_by_key(|l| l.count));
            if let (Some(least), Some(most)) = (least, most) {
                out.push_str(&format!(
                    "  {} labels, from {} ({}) to {} ({})\n",
                    s.labels.len(),
                    count(least.count),
                    least.label,
                    count(most.count),
                    most.label
                ));
            }
        }
    }
    for w in &report.warnings {
        out.push_str(&format!("\nwarning: {w}\n"));
    }
    out
}
