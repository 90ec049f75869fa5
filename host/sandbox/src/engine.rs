//! The wasmtime engine and the clock that ends calls.
//!
//! One engine a process is enough: it holds settings and compiled code, no state
//! of any plugin. Price: one thread that wakes every [`TICK`].

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, Engine, WasmBacktraceDetails};

use crate::error::LoadError;

/// Resolution of a call's deadline.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Native stack a guest may use. Worker threads have 2 MiB: this leaves the most
/// of it to a host operation that is called at the bottom of the guest's stack.
const GUEST_STACK: usize = 512 << 10;

/// Makes the engine, with compiled code kept in `cache_dir` when there is one.
///
/// Compiled code is native code. The directory is created readable by its owner
/// alone, the key holds the component's bytes, the engine's version and these
/// settings, and nothing else is ever loaded as code.
pub(crate) fn engine(cache_dir: Option<&Path>) -> Result<Engine, LoadError> {
    let mut config = Config::new();

    // 1. The contract is a component's.
    config.wasm_component_model(true);
    // 2. Deadlines. Fuel would cost twice as much and count instructions, of which
    //    nobody knows how many are right.
    config.epoch_interruption(true);
    // 3. No role uses streams or futures; without them an empty call is three times cheaper.
    config.concurrency_support(false);
    // 4. The same recipe gives the same bytes on every processor: NaN has one bit
    //    pattern, and relaxed vector instructions have one result.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    // 5. A trap names the guest's functions and, where the component carries them, source lines.
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(64));
    // 6. Deep recursion ends as a trap, on any thread that calls a plugin.
    config.max_wasm_stack(GUEST_STACK);
    // 7. A second start compiles nothing.
    if let Some(directory) = cache_dir {
        config.cache(Some(cache(directory)?));
    }
    let engine = Engine::new(&config).map_err(|e| LoadError::Engine { reason: format!("{e:#}") })?;
    tick(&engine)?;
    Ok(engine)
}

fn cache(directory: &Path) -> Result<Cache, LoadError> {
    // The engine's cache clears away whatever it does not know: it gets a directory of its own, so
    // that nothing else kept in `directory` is lost.
    let directory = &directory.join("compiled");
    let failed = |reason: String| LoadError::Cache { directory: directory.clone(), reason };
    create_private(directory).map_err(|e| failed(e.to_string()))?;
    let absolute = directory.canonicalize().map_err(|e| failed(e.to_string()))?;
    let mut config = CacheConfig::new();
    config.with_directory(absolute);
    Cache::new(config).map_err(|e| failed(format!("{e:#}")))
}

fn create_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Advances the engine's epoch until the engine is gone.
fn tick(engine: &Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("plugin-deadlines".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map(drop)
        .map_err(|e| LoadError::Engine { reason: format!("the deadline thread did not start: {e}") })
}
