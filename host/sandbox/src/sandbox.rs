//! From a file to a plugin.
//!
//! A component that this host has accepted before comes out of the directory of compiled code. Any other one is counted
//! ([`crate::survey`]) and then loaded in a process of its own ([`crate::loader`]) where there is one to start; what that has compiled is
//! loaded here. A program that cannot be started for that (a library's use, tests) compiles in its own process.

use std::path::Path;
use std::sync::Arc;

use retune_roles::Failure;
use retune_roles::digest::hex;
use retune_roles::file::no_file;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::apart::Unanswered;
use crate::bindings::host;
use crate::compiled::{Compiled, Note};
use crate::engine::engine;
use crate::error::LoadError;
use crate::limits::Limits;
use crate::loader::Loader;
use crate::plugin::Plugin;
use crate::state::State;
use crate::{survey, wasi_host};

/// The largest component that is read: an interpreter with its libraries is a tenth of it.
const LARGEST: u64 = 256 << 20;

/// Loads plugins. One serves a whole process; it costs a thread.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    linker: Arc<Linker<State>>,
    compiled: Option<Compiled>,
    loader: Option<Loader>,
}

/// A component that was compiled here.
pub(crate) struct Fresh {
    pub component: Component,
    /// As it is kept.
    pub code: Vec<u8>,
}

impl Sandbox {
    /// A sandbox that keeps compiled code in `cache_dir`, or compiles at each load.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn new(cache_dir: Option<&Path>) -> Result<Self, LoadError> {
        let engine = engine()?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(|e| LoadError::Engine { reason: format!("{e:#}") })?;
        let compiled = cache_dir.map(|directory| Compiled::open(directory, &engine)).transpose()?;
        Ok(Self { engine, linker: Arc::new(linker), compiled, loader: Loader::this_program() })
    }

    /// As [`Sandbox::load_within`], of as many instances as there may be by default.
    ///
    /// # Errors
    /// As [`LoadError`] lists them.
    pub fn load(&self, path: &Path) -> Result<Plugin, LoadError> {
        self.load_within(path, Limits::default().instances)
    }

    /// Reads and compiles the component at `path`, finds its roles, and refuses it by name of the import when it
    /// asks for more than the sandbox has, or when it comes to more than so many instances. In a process of its own it is also
    /// asked for its schema; in this one no code of the plugin runs.
    ///
    /// # Errors
    /// As [`LoadError`] lists them.
    pub fn load_within(&self, path: &Path, instances: usize) -> Result<Plugin, LoadError> {
        let bytes = read(path)?;
        recognise(path, &bytes)?;
        survey::check(path, &bytes, instances)?;
        let digest = hex(&Sha256::digest(&bytes));
        match self.compiled.as_ref().and_then(|kept| kept.find(&digest, &self.engine)) {
            Some((component, Note { schema: Some(schema) })) => {
                Ok(self.plugin(path, &bytes, &component)?.answering(Ok(schema)))
            }
            Some((component, Note { schema: None })) if self.loader.is_none() => self.plugin(path, &bytes, &component),
            _ => match &self.loader {
                Some(loader) => self.load_apart(path, &bytes, &digest, loader),
                None => self.load_here(path, &bytes, &digest),
            },
        }
    }

    /// Compiles it in this process, and keeps its code without having asked it for anything.
    fn load_here(&self, path: &Path, bytes: &[u8], digest: &str) -> Result<Plugin, LoadError> {
        let fresh = self.compile(path, bytes)?;
        let plugin = self.plugin(path, bytes, &fresh.component)?;
        if let Some(compiled) = &self.compiled
            && let Err(error) = compiled.begin().and_then(|file| {
                std::fs::write(file.path(), &fresh.code)?;
                compiled.keep(digest, file, &Note { schema: None })
            })
        {
            not_kept(path, &error);
        }
        Ok(plugin)
    }

    /// Has it loaded in a process of its own, and takes what that has compiled.
    fn load_apart(&self, path: &Path, bytes: &[u8], digest: &str, loader: &Loader) -> Result<Plugin, LoadError> {
        let failed =
            |what: &str, e: std::io::Error| LoadError::Loader { path: path.to_owned(), reason: format!("{what}: {e}") };
        let kept = self.compiled.as_ref().and_then(|compiled| Some((compiled, compiled.begin().ok()?)));
        let (compiled, code) = match kept {
            Some((compiled, code)) => (Some(compiled), code),
            None => (None, tempfile::NamedTempFile::new().map_err(|e| failed("there is no place for its code", e))?),
        };
        let accepted = loader.load(path, bytes, code.path())?;
        let bytes_of_code = std::fs::read(code.path()).map_err(|e| failed("its code cannot be read", e))?;
        // SAFETY: a child of this program has compiled it, into a file that was made for it and that only this user can write to.
        let component = unsafe { Component::deserialize(&self.engine, &bytes_of_code) };
        let component = component.map_err(|e| LoadError::Loader { path: path.to_owned(), reason: format!("{e:#}") })?;
        let plugin = self.plugin(path, bytes, &component)?;
        if let (Some(compiled), Ok(schema)) = (compiled, &accepted.schema)
            && let Err(error) = compiled.keep(digest, code, &Note { schema: Some(schema.clone()) })
        {
            not_kept(path, &error);
        }
        let answer = accepted.schema.map_err(|unanswered| failure(&plugin, unanswered));
        Ok(plugin.answering(answer))
    }

    /// Compiles in this process.
    pub(crate) fn compile(&self, path: &Path, bytes: &[u8]) -> Result<Fresh, LoadError> {
        let wrong = |error: wasmtime::Error| LoadError::NotAComponent {
            path: path.to_owned(),
            reason: retune_roles::text::shortened(&error.root_cause().to_string(), 300),
            help: "the file is damaged, or made by a toolchain that is newer than this host".into(),
        };
        let code = self.engine.precompile_component(bytes).map_err(wrong)?;
        // SAFETY: the engine made it just now.
        let component = unsafe { Component::deserialize(&self.engine, &code) }.map_err(wrong)?;
        Ok(Fresh { component, code })
    }

    /// Checks a compiled component against the contract.
    pub(crate) fn plugin(&self, path: &Path, bytes: &[u8], component: &Component) -> Result<Plugin, LoadError> {
        Plugin::new(path, bytes, &self.engine, component, &self.linker)
    }
}

fn not_kept(path: &Path, error: &std::io::Error) {
    tracing::warn!("the compiled code of {} cannot be kept: {error}", path.display());
}

/// The failure of a plugin that was asked in another process.
fn failure(plugin: &Plugin, unanswered: Unanswered) -> Failure {
    let Unanswered { call, reason, help, backtrace } = unanswered;
    let failure = Failure::new(plugin.who(), plugin.roles()[0], call, reason).backtrace(backtrace);
    help.into_iter().fold(failure, Failure::help)
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |reason: String| LoadError::Read { path: path.to_owned(), reason };
    if let Some(what) = no_file(path) {
        return Err(failed(format!("it is {what}, not a file")));
    }
    let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?;
    if size.len() > LARGEST {
        return Err(failed(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    std::fs::read(path).map_err(|e| failed(e.to_string()))
}

/// Tells a component from what is often given instead of one, by its first bytes.
fn recognise(path: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    let is = |reason: &str, help: &str| {
        Err(LoadError::NotAComponent { path: path.to_owned(), reason: reason.into(), help: help.into() })
    };
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => is(
            "it is a core module",
            "build it with `--target wasm32-wasip2`, or wrap it with `wasm-tools component new`",
        ),
        [b'(', ..] => is("it is WebAssembly text", "turn it into binary with `wasm-tools parse`"),
        [0x7f, b'E', b'L', b'F', ..] => {
            is("it is native code", "plugins are shared as .wasm components; compiled code is never loaded")
        }
        [] => is("it is empty", "build the plugin again"),
        _ => is("it does not begin as WebAssembly does", "give the path of a .wasm component"),
    }
}

/// Everything a component may import.
fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_host::link(linker)?;
    host::types::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    host::logging::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    host::tokenizer::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    host::tensor::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    host::fused::add_to_linker::<_, HasSelf<State>>(linker, |s| s)?;
    host::batch::add_to_linker::<_, HasSelf<State>>(linker, |s| s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        recognise(Path::new("x.wasm"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_component_is_told_by_its_first_bytes() {
        assert_eq!(refusal(b"\0asm\x01\0\0\0"), "x.wasm is not a WebAssembly component: it is a core module");
        assert_eq!(refusal(b"(module)"), "x.wasm is not a WebAssembly component: it is WebAssembly text");
        assert_eq!(refusal(b"\x7fELF\x02"), "x.wasm is not a WebAssembly component: it is native code");
        assert_eq!(refusal(b""), "x.wasm is not a WebAssembly component: it is empty");
        assert!(recognise(Path::new("x.wasm"), b"\0asm\x0d\0\x01\0rest").is_ok());
    }
}
