//! `cargo xtask check-dependencies`: licences, sources and repeated versions of everything that is built, by `cargo deny` and the
//! rules of `deny.toml`.
//!
//! The tool comes from crates.io, in one version, and is kept below the user's cache, or in the target directory where there is
//! none. Known vulnerabilities are not looked for: their database is a git repository, and a check that needs more than the
//! registries would fail where only they are reached. Price: some minutes of compiling, once a machine.

use std::env;
use std::path::PathBuf;

use crate::command::{self, Failed};
use crate::workspace::Workspace;

const VERSION: &str = "0.20.2";

/// Checks the dependencies of the workspace.
pub fn check(workspace: &Workspace) -> Result<(), Failed> {
    let folder = tools(workspace).join(format!("cargo-deny-{VERSION}"));
    let deny = folder.join("bin").join(format!("cargo-deny{}", env::consts::EXE_SUFFIX));
    if !deny.is_file() {
        let mut install = workspace.cargo(["install", "cargo-deny", "--locked", "--quiet", "--version", VERSION]);
        install.env("CARGO_TARGET_DIR", workspace.target().join("cargo-deny"));
        command::run(install.arg("--root").arg(&folder))?;
    }
    command::run(workspace.command(deny).args([
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))
}

/// Where programs are kept between checkouts.
fn tools(workspace: &Workspace) -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    match cache.filter(|cache| cache.is_absolute()) {
        Some(cache) => cache.join("retune/tools"),
        None => workspace.target().join("tools"),
    }
}
