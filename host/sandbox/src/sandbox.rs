//! From a file to a plugin.

use std::path::Path;
use std::sync::Arc;

use retune_roles::file::no_file;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::host;
use crate::engine::engine;
use crate::error::LoadError;
use crate::plugin::Plugin;
use crate::state::State;
use crate::wasi_host;

/// The largest component that is read: an interpreter with its libraries is a tenth of it.
const LARGEST: u64 = 256 << 20;

/// Loads plugins. One serves a whole process; it costs a thread.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    linker: Arc<Linker<State>>,
}

impl Sandbox {
    /// A sandbox that keeps compiled code in `cache_dir`, or compiles at each load.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn new(cache_dir: Option<&Path>) -> Result<Self, LoadError> {
        let engine = engine(cache_dir)?;
        let mut linker = Linker::new(&engine);
        link(&mut linker).map_err(|e| LoadError::Engine { reason: format!("{e:#}") })?;
        Ok(Self { engine, linker: Arc::new(linker) })
    }

    /// Reads and compiles the component at `path`, finds its roles, and refuses it
    /// by name of the import when it asks for more than the sandbox has. No code of
    /// the plugin runs.
    ///
    /// # Errors
    /// As [`LoadError`] lists them.
    pub fn load(&self, path: &Path) -> Result<Plugin, LoadError> {
        let bytes = read(path)?;
        recognise(path, &bytes)?;
        let component = Component::new(&self.engine, &bytes).map_err(|error| LoadError::NotAComponent {
            path: path.to_owned(),
            reason: retune_roles::text::shortened(&error.root_cause().to_string(), 300),
            help: "the file is damaged, or made by a toolchain that is newer than this host",
        })?;
        Plugin::new(path, &bytes, &self.engine, &component, &self.linker)
    }
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
    let is = |reason: &str, help: &'static str| {
        Err(LoadError::NotAComponent { path: path.to_owned(), reason: reason.into(), help })
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
