//! Where things are, and how `cargo` is called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::Failed;

/// The checkout this command runs for.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The folder above `xtask/`, as `cargo run` names it: one target directory may serve several checkouts.
    pub fn find() -> Result<Workspace, Failed> {
        let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| Failed::new("run it as `cargo xtask`"))?;
        let here = PathBuf::from(here);
        let root = here.parent().ok_or_else(|| Failed::new("xtask is not inside a workspace"))?;
        Ok(Workspace { root: root.to_owned() })
    }

    /// A path below the root of the checkout.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }

    /// A path that the user gave, from where the user stands.
    pub fn given(path: &str) -> Result<PathBuf, Failed> {
        std::path::absolute(path).map_err(|error| Failed::file("find", Path::new(path), &error))
    }

    /// How a path is called in the checkout: `host/data/src/lib.rs`.
    pub fn below(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    /// Where cargo puts what it builds: `CARGO_TARGET_DIR`, or `target/` in the checkout.
    pub fn target(&self) -> PathBuf {
        match env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => self.path(PathBuf::from(directory)),
            None => self.path("target"),
        }
    }

    /// The `retune` binary of a cargo profile's folder (`debug`, `release`).
    pub fn retune(&self, folder: &str) -> PathBuf {
        self.target().join(folder).join(format!("retune{}", env::consts::EXE_SUFFIX))
    }

    /// A program that will run in the root of the checkout.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        command
    }

    /// The cargo that runs this command, with these arguments.
    pub fn cargo<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.command(env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from));
        // Said outright, because cargo's own configuration may name another place.
        command.args(arguments).env("CARGO_TARGET_DIR", self.target());
        command
    }
}
