//! Loading a component in a process of its own, as that process does it.
//!
//! Before a byte is looked at the process bounds itself: processor time, memory that can be written to, the size of files; no
//! core dump is written, and it ends with the process that started it. Then it compiles the component, instantiates it under the
//! default limits, and asks for its schema. Each stage is told before it begins, so that whoever waits knows what took too
//! long. On systems other than Linux the system does not bound memory, and only what [`crate::survey`] counts is bounded.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use crate::apart::{ASKED_FOR, Accepted, Allowance, Said, Stage, Unanswered, VERB};
use crate::error::LoadError;
use crate::sandbox::Sandbox;

/// Largest file of compiled code, in bytes.
#[cfg(unix)]
const FILE: u64 = 4 << 30;

/// Loads a component when this process was started for it; nothing otherwise.
///
/// A program calls it before it does anything else. From then on [`Sandbox::load`] starts the program again for components that
/// were not accepted before; without it they are loaded in the process that asks.
pub fn requested() -> Option<ExitCode> {
    ASKED_FOR.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let [allowance, path, code] = &arguments[..] else {
        return Some(ExitCode::from(2));
    };
    let accepted = allowance.to_str().and_then(|text| serde_json::from_str(text).ok()).map(|allowance| {
        bound(allowance)?;
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        say(&match accept(Path::new(path), &bytes, Path::new(code)) {
            Ok(accepted) => Said::Accepted(Box::new(accepted)),
            Err(refusal) => Said::Refused(Box::new(refusal)),
        })
    });
    Some(match accepted {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        None => ExitCode::from(2),
    })
}

fn accept(path: &Path, bytes: &[u8], code: &Path) -> Result<Accepted, LoadError> {
    let sandbox = Sandbox::new(None)?;
    begin(Stage::Compile);
    let compiled = sandbox.compile(path, bytes)?;
    let failed = |reason: String| LoadError::Loader { path: path.to_owned(), reason };
    std::fs::write(code, &compiled.code).map_err(|e| failed(format!("its code cannot be written: {e}")))?;
    begin(Stage::Ask);
    let plugin = sandbox.plugin(path, bytes, &compiled.component)?;
    Ok(Accepted { schema: plugin.schema().map_err(Unanswered::from) })
}

fn begin(stage: Stage) {
    // Whoever waits sees that nothing came.
    let _ = say(&Said::Stage(stage));
}

fn say(said: &Said) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(said)?)?;
    output.flush()
}

/// Bounds this process, for good.
#[cfg(unix)]
fn bound(allowance: Allowance) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let most = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    // At the first the process gets a signal that says why, a second later it is killed.
    let seconds = allowance.processor_s;
    setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds + 1) })?;
    // Not the address space: the engine reserves gigabytes of it, which cost nothing.
    most(Resource::Data, crate::limits::bytes(allowance.memory_mib))?;
    most(Resource::Fsize, FILE)?;
    Ok(most(Resource::Core, 0)?)
}

#[cfg(not(unix))]
fn bound(_: Allowance) -> std::io::Result<()> {
    Ok(())
}

/// Whether loading a component is bounded in memory by the system here.
pub fn is_bounded() -> bool {
    cfg!(target_os = "linux")
}
