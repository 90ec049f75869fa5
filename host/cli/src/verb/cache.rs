//! `retune cache`: prepared rows and compiled plugins that are kept from run to run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use retune_data::Cache;
use serde_json::{Value as Json, json};

use crate::stdout;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_run::machine;
use retune_run::words::{bytes, date, parse_bytes};

/// Arguments of `retune cache`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the kept files of prepared rows, the one used last at the end
    List {
        /// Print JSON instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Remove the files not used for longest, and what killed runs left half written
    Prune {
        /// How much may stay, such as 2GiB [default: RETUNE_CACHE_SIZE, else 10GiB]
        #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
        size: Option<u64>,
        /// Print JSON instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Remove all prepared rows
    Clear {
        /// Print JSON instead of lines
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let directory = machine::cache_directory().ok_or_else(|| {
        Diagnostic::new("there is no cache directory").help("set RETUNE_CACHE to a folder, or HOME to yours")
    })?;
    let cache = Cache::new(&directory).with_limit(machine::cache_limit()?);
    match &args.what {
        What::List { json } => list(&cache, *json),
        What::Prune { size, json } => remove(&cache, size.unwrap_or(cache.limit()), *json),
        What::Clear { json } => remove(&cache, 0, *json),
    }
}

fn list(cache: &Cache, json: bool) -> Result<ExitCode> {
    let entries = cache.entries().map_err(|e| unusable(cache.directory(), &e))?;
    let total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    if json {
        let files: Vec<Json> = entries
            .iter()
            .map(|entry| {
                json!({"key": entry.key, "path": entry.path, "bytes": entry.bytes, "used": seconds(entry.used)})
            })
            .collect();
        let report = json!({"directory": cache.directory(), "limit": cache.limit(), "bytes": total, "files": files});
        stdout::line(format!("{report:#}"));
        return Ok(ExitCode::SUCCESS);
    }
    for entry in &entries {
        let used = date(seconds(entry.used));
        stdout::line(format!("{used}  {:>10}  {}", bytes(entry.bytes), short(&entry.key)));
    }
    let count = entries.len();
    stdout::line(format!(
        "{}: {count} file{}, {} of {}",
        cache.directory().display(),
        if count == 1 { "" } else { "s" },
        bytes(total),
        bytes(cache.limit())
    ));
    Ok(ExitCode::SUCCESS)
}

fn remove(cache: &Cache, limit: u64, json: bool) -> Result<ExitCode> {
    let gone = cache.prune(limit).map_err(|e| unusable(cache.directory(), &e))?;
    let freed: u64 = gone.iter().map(|entry| entry.bytes).sum();
    if json {
        let paths: Vec<&PathBuf> = gone.iter().map(|entry| &entry.path).collect();
        stdout::line(format!("{:#}", json!({"removed": paths, "bytes": freed})));
    } else {
        let count = gone.len();
        stdout::line(format!("removed {count} file{}, {}", if count == 1 { "" } else { "s" }, bytes(freed)));
    }
    Ok(ExitCode::SUCCESS)
}

fn unusable(directory: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(format!("the cache in `{}` cannot be used: {error}", directory.display()))
        .help("`RETUNE_CACHE` names another folder")
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn short(key: &str) -> &str {
    key.get(..16).unwrap_or(key)
}
