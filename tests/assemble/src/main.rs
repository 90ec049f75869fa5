//! Makes components of the attacks in `plugins/hostile` that are written as text: `assemble WORKSPACE DESTINATION`.
//!
//! An attack is a folder with a `plugin.wat`. `;; Plays: loss, checkpoint` in its head names the layers of `honest/` that
//! the text is laid over ([`layers`]), so that it holds the attack and nothing else; `;; Plays: shell` wraps a component of
//! which only the exports are honest; without the line the text is the whole component. The syntax beside WebAssembly's own
//! is that of [`macros`]. Beside them, in `smith/`, it writes components with modules made at random ([`smith`]), for the fuzzing of
//! `Sandbox::load`. Price: where the attack leaves it alone, a component is as `wit-component` makes it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod component;
mod layers;
mod macros;
mod smith;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How many components are made at random.
const RANDOM: u64 = 32;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(workspace), Some(destination)) = (arguments.next(), arguments.next()) else {
        eprintln!("assemble WORKSPACE DESTINATION");
        return ExitCode::FAILURE;
    };
    match all(&workspace, &destination) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Every attack to `destination/NAME.wasm`. A file that is as it should be is left alone.
fn all(workspace: &Path, destination: &Path) -> Result<(), String> {
    let attacks = workspace.join("plugins/hostile");
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    fs::create_dir_all(destination).map_err(|error| told(destination, &error))?;
    for folder in fs::read_dir(&attacks).map_err(|error| told(&attacks, &error))?.flatten() {
        let source = folder.path().join("plugin.wat");
        if !source.is_file() {
            continue;
        }
        let text = fs::read_to_string(&source).map_err(|error| told(&source, &error))?;
        let made = made(workspace, &text).map_err(|reason| told(&source, &reason))?;
        place(&destination.join(folder.file_name()).with_extension("wasm"), made)?;
    }
    random(workspace, &destination.with_file_name("smith"))
}

/// Components with modules that were made at random to `destination/NUMBER.wasm`, beside the honest part of them.
fn random(workspace: &Path, destination: &Path) -> Result<(), String> {
    fs::create_dir_all(destination).map_err(|error| format!("{}: {error}", destination.display()))?;
    let honest = component::wrapped(workspace, "")?;
    for seed in 0..RANDOM {
        if let Some(made) = smith::component(&honest, &smith::bytes(seed)) {
            place(&destination.join(format!("{seed:02}.wasm")), made)?;
        }
    }
    place(&destination.join("honest.wasm"), honest)
}

fn place(target: &Path, made: Vec<u8>) -> Result<(), String> {
    if fs::read(target).is_ok_and(|there| there == made) {
        return Ok(());
    }
    fs::write(target, made).map_err(|error| format!("{}: {error}", target.display()))
}

fn made(workspace: &Path, text: &str) -> Result<Vec<u8>, String> {
    let plays = text.lines().map_while(|line| line.strip_prefix(";; ")).find_map(|line| line.strip_prefix("Plays: "));
    let plays: Vec<&str> = plays.unwrap_or_default().split(", ").filter(|role| !role.is_empty()).collect();
    match *plays {
        [] => component::whole(text),
        ["shell"] => component::wrapped(workspace, text),
        _ => component::laid(workspace, text, &plays),
    }
}
