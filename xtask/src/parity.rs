//! `cargo xtask parity`: retune beside `transformers`, live, on models that are drawn at random.
//!
//! The work is done by `tests/reference/parity.py` and the example `parity` of retune-train. Torch and transformers are installed
//! from PyPI, in the versions that the fixtures were made with, to an environment in the target directory; whoever has them
//! names a Python that does with `--python`.

use std::path::PathBuf;

use crate::command::{self, Failed};
use crate::workspace::Workspace;

/// What the fixtures were made with.
const PACKAGES: [&str; 4] = ["torch==2.15.0", "transformers==5.24.0", "peft==0.21.2", "safetensors"];

/// Where wheels of torch lie that run on the CPU alone, a tenth the size of those with CUDA.
const CPU_WHEELS: &str = "https://download.pytorch.org/whl/cpu";

/// Builds the example, finds or makes a Python, and compares; `arguments` beside `--python` are those of the script.
pub fn compare(workspace: &Workspace, arguments: &[&str]) -> Result<(), Failed> {
    let (python, rest) = match arguments {
        ["--python"] => return Err(Failed::new("--python needs the path of a Python that has torch and transformers")),
        ["--python", python, rest @ ..] => (program(python)?, rest),
        rest => (environment(workspace)?, rest),
    };
    // Together with the binary, whose features its dependencies have: alone, the example would compile them all anew.
    command::run(&mut workspace.cargo(["build", "-p", "retune", "-p", "retune-train", "--example", "parity"]))?;
    let example = format!("parity{}", std::env::consts::EXE_SUFFIX);
    let mut script = workspace.command(python);
    script.arg(workspace.path("tests/reference/parity.py"));
    command::run(script.arg(workspace.target().join("debug/examples").join(example)).args(rest))
}

/// A name that is looked up, or a path from where the user stands.
fn program(python: &str) -> Result<PathBuf, Failed> {
    if python.contains(['/', '\\']) { Workspace::given(python) } else { Ok(PathBuf::from(python)) }
}

/// The Python of an environment with torch and transformers, made where it is missing.
fn environment(workspace: &Workspace) -> Result<PathBuf, Failed> {
    let folder = workspace.target().join("parity-python");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let ready = |python: &PathBuf| {
        python.is_file()
            && command::output(workspace.command(python).args(["-c", "import torch, transformers, peft, safetensors"]))
                .is_ok()
    };
    if !ready(&python) {
        command::run(workspace.command("python3").args(["-m", "venv"]).arg(&folder))?;
        let install = |arguments: &[&str]| {
            let mut pip = workspace.command(&python);
            command::run(pip.args(["-m", "pip", "install", "--quiet"]).args(arguments))
        };
        let [torch, ..] = PACKAGES;
        if install(&["--retries", "0", "--timeout", "10", "--index-url", CPU_WHEELS, torch]).is_err() {
            eprintln!("{CPU_WHEELS} does not answer: torch comes from PyPI, with CUDA");
        }
        install(&PACKAGES)?;
    }
    Ok(python)
}
