//! The wasmtime engine and the clock that ends calls.
//!
//! One engine a process is enough: it holds settings and compiled code, no state
//! of any plugin. Price: one thread that wakes every [`TICK`].

use std::num::NonZeroUsize;
use std::time::Duration;

use wasmtime::{Config, Engine, WasmBacktraceDetails};

use crate::error::LoadError;

/// Resolution of a call's deadline.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Native stack a guest may use. Worker threads have 2 MiB: this leaves the most
/// of it to a host operation that is called at the bottom of the guest's stack.
const GUEST_STACK: usize = 512 << 10;

/// Makes the engine.
pub(crate) fn engine() -> Result<Engine, LoadError> {
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
    let engine = Engine::new(&config).map_err(|e| LoadError::Engine { reason: format!("{e:#}") })?;
    tick(&engine)?;
    Ok(engine)
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
