//! What a change must pass.

use crate::command::{self, Failed};
use crate::imports;
use crate::plugins;
use crate::workspace::Workspace;

/// Every test: unit, documentation and cross-room ones. Plugins are built first, because the sandbox's tests load them.
pub fn test(workspace: &Workspace) -> Result<(), Failed> {
    plugins::build(workspace)?;
    command::run(&mut workspace.cargo(["test", "--workspace"]))
}

/// Formatting, imports, lints with the CUDA code included, and every test.
pub fn ci(workspace: &Workspace) -> Result<(), Failed> {
    command::run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    imports::check(workspace)?;
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
    test(workspace)
}
