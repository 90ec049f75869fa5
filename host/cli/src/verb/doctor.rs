//! `retune doctor`: what this machine can do, and what is missing for more.

use std::path::Path;
use std::process::ExitCode;

use retune_sandbox::{Sandbox, acceptance};
use retune_tensor::device::{DeviceChoice, cuda_report, describe};
use serde_json::json;

use crate::stdout;
use retune_recipe::diagnostic::Result;
use retune_run::machine;
use retune_run::words::bytes;

/// Arguments of `retune doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

/// One finding.
struct Finding {
    what: &'static str,
    state: State,
    fact: String,
    remedy: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Good,
    Missing,
    Broken,
}

/// Runs the verb; fails when something is broken that every run needs.
pub fn run(args: &Args) -> Result<ExitCode> {
    let findings = [version(), processor(), memory(), cache(), sandbox(), cuda(), device()];
    if args.json {
        let list: Vec<_> = findings
            .iter()
            .map(|f| json!({"what": f.what, "state": word(f.state), "fact": f.fact, "remedy": f.remedy}))
            .collect();
        stdout::line(format!("{:#}", json!({ "findings": list })));
    } else {
        let width = findings.iter().map(|f| f.what.len()).max().unwrap_or(0);
        for f in &findings {
            let mark = match f.state {
                State::Good => "✓",
                State::Missing => "–",
                State::Broken => "✗",
            };
            stdout::line(format!("{mark} {:width$}  {}", f.what, f.fact));
            for line in &f.remedy {
                stdout::line(format!("  {:width$}  {line}", ""));
            }
        }
    }
    let broken = findings.iter().any(|f| f.state == State::Broken);
    Ok(if broken { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn word(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Missing => "missing",
        State::Broken => "broken",
    }
}

fn good(what: &'static str, fact: String) -> Finding {
    Finding { what, state: State::Good, fact, remedy: Vec::new() }
}

fn version() -> Finding {
    let cuda = if cfg!(feature = "cuda") { "with" } else { "without" };
    good(
        "retune",
        format!(
            "{} ({}, {cuda} the feature `cuda`)",
            env!("CARGO_PKG_VERSION"),
            if cfg!(debug_assertions) { "development build" } else { "release build" }
        ),
    )
}

fn processor() -> Finding {
    let name = machine::processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    #[cfg(target_arch = "x86_64")]
    let (vectors, slow) = {
        let found: Vec<&str> = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect();
        (found.join(" "), !is_x86_feature_detected!("avx2"))
    };
    #[cfg(not(target_arch = "x86_64"))]
    let (vectors, slow) = (std::env::consts::ARCH.to_owned(), false);
    let mut finding = good("processor", format!("{name}, {} cores, {vectors}", machine::cores()));
    if slow {
        finding.remedy.push("no AVX2: training works, several times slower than on a processor that has it".to_owned());
    }
    finding
}

fn memory() -> Finding {
    match machine::memory() {
        Some((total, free)) => good("memory", format!("{} free of {}", bytes(free), bytes(total))),
        None => good("memory", "this system does not say".to_owned()),
    }
}

fn cache() -> Finding {
    let Some(directory) = machine::cache_directory() else {
        return Finding {
            what: "cache",
            state: State::Missing,
            fact: "no directory: data and plugins are prepared anew each time".to_owned(),
            remedy: vec!["set RETUNE_CACHE to a directory".to_owned()],
        };
    };
    match writable(&directory) {
        Ok(()) => good("cache", directory.display().to_string()),
        Err(e) => Finding {
            what: "cache",
            state: State::Missing,
            fact: format!("{} cannot be written: {e}", directory.display()),
            remedy: vec!["set RETUNE_CACHE to a directory that can".to_owned()],
        },
    }
}

fn writable(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    tempfile::tempfile_in(directory).map(drop)
}

fn sandbox() -> Finding {
    match Sandbox::new(None) {
        Ok(_) if acceptance::is_bounded() => good(
            "plugins",
            "the WebAssembly engine starts; new plugins are loaded in a process with bounded memory".to_owned(),
        ),
        Ok(_) => Finding {
            what: "plugins",
            state: State::Missing,
            fact: "the WebAssembly engine starts; this system does not bound the memory that loading a plugin takes"
                .to_owned(),
            remedy: vec!["load plugins of strangers on Linux".to_owned()],
        },
        Err(e) => Finding {
            what: "plugins",
            state: State::Broken,
            fact: e.to_string(),
            remedy: e.help().into_iter().collect(),
        },
    }
}

fn cuda() -> Finding {
    let report = cuda_report();
    let gpus: Vec<String> = report
        .devices
        .iter()
        .enumerate()
        .map(|(i, gpu)| format!("cuda:{i} {} ({})", gpu.name, bytes(gpu.memory)))
        .collect();
    if report.usable() {
        return good("CUDA", gpus.join(", "));
    }
    let found: Vec<String> =
        [report.driver.clone(), report.nvrtc.clone(), report.headers.as_ref().map(|h| h.display().to_string())]
            .into_iter()
            .flatten()
            .chain(gpus)
            .collect();
    let fact =
        if found.is_empty() { "not usable".to_owned() } else { format!("not usable; found {}", found.join(", ")) };
    Finding { what: "CUDA", state: State::Missing, fact, remedy: report.missing }
}

fn device() -> Finding {
    match DeviceChoice::Auto.resolve() {
        Ok(device) => good("device", format!("`auto` is {}", describe(&device))),
        Err(e) => {
            Finding { what: "device", state: State::Broken, fact: e.summary().to_owned(), remedy: e.details().to_vec() }
        }
    }
}
