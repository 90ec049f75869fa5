//! What a change must pass.

use std::process::Command;

use crate::command::{self, Failed};
use crate::dependencies;
use crate::imports;
use crate::plugins;
use crate::workspace::Workspace;

/// Every test: unit, documentation and cross-room ones. Plugins are built first, because the sandbox's tests load them.
pub fn test(workspace: &Workspace) -> Result<(), Failed> {
    plugins::build(workspace)?;
    command::run(&mut apart(workspace, "test"))?;
    command::run(&mut workspace.cargo(["test", "--workspace"]))
}

/// A command for what makes components of text, which is no member of the workspace.
fn apart(workspace: &Workspace, command: &str) -> Command {
    let mut cargo = workspace.cargo([command, "--manifest-path"]);
    cargo.arg(workspace.path("tests/assemble/Cargo.toml"));
    if command != "fmt" {
        cargo.arg("--target-dir").arg(workspace.target());
    }
    cargo
}

/// Formatting, imports, dependencies, lints with the CUDA code included, and every test.
pub fn ci(workspace: &Workspace) -> Result<(), Failed> {
    command::run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    command::run(apart(workspace, "fmt").arg("--check"))?;
    imports::check(workspace)?;
    dependencies::check(workspace)?;
    command::run(&mut workspace.cargo([
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        "cuda",
        "--",
        "-D",
        "warnings",
    ]))?;
    command::run(apart(workspace, "clippy").args(["--all-targets", "--", "-D", "warnings"]))?;
    test(workspace)
}
