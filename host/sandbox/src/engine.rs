//! The wasmtime engine and the clock that ends calls.
//!
//! One engine a process is enough: it holds settings and compiled code, no state
//! of any plugin. Price: one thread that wakes every [`TICK`].

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use wasmtime::{Config, Engine, WasmBacktraceDetails};

use crate::error::LoadError;

/// Resolution of a call's deadline.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Native stack a guest may use. Worker threads have 2 MiB: this leaves the most
/// of it to a host operation that is called at the bottom of the guest's stack.
const GUEST_STACK: usize = 512 << 10;

/// Makes the engine, with compiled code kept in `cache_dir` when there is one.
///
/// Compiled code is native code. The directory is created readable by its owner
/// alone, and one that others can write to is refused; the key holds the component's
/// bytes, the engine's version and these settings, and nothing else is ever loaded as
/// code.
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
        cache(directory)?;
    }
    let engine = Engine::new(&config).map_err(|e| LoadError::Engine { reason: format!("{e:#}") })?;
    tick(&engine)?;
    Ok(engine)
}

fn cache(directory: &Path) -> Result<(), LoadError> {
    // The engine's cache clears away whatever it does not know: it gets a directory of its own, so
    // that nothing else kept in `directory` is lost.
    let directory = &directory.join("compiled");
    let failed = |reason: String| LoadError::Cache {
        directory: directory.clone(),
        reason,
        help: "choose a directory that can be written, with RETUNE_CACHE".into(),
    };
    create_private(directory).map_err(|e| failed(e.to_string()))?;
    let absolute = directory.canonicalize().map_err(|e| failed(e.to_string()))?;
    #[cfg(unix)]
    if let Some(reason) = distrust(&absolute).map_err(|e| failed(e.to_string()))? {
        let help = "delete it, since it is only a cache, or choose another directory with RETUNE_CACHE; \
                    if you trust what is in it, make it yours alone with `chown` and `chmod go-w`";
        return Err(LoadError::Cache { directory: directory.clone(), reason, help: help.into() });
    }
    Ok(())
}

/// Why somebody else could have put code into `directory`, if one could.
#[cfg(unix)]
fn distrust(directory: &Path) -> std::io::Result<Option<String>> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let about = std::fs::metadata(directory)?;
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Ok(Some(format!(
            "others than its owner can write to it (its mode is {mode:03o}), and code is run from it"
        )));
    }
    let me = match user(directory) {
        // Nobody puts anything there.
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => return Ok(None),
        me => me?,
    };
    Ok((about.uid() != me)
        .then(|| format!("it belongs to user {} and you are user {me}, and code is run from it", about.uid())))
}

/// Who this process is to the file system: the owner of a file that it makes.
#[cfg(unix)]
fn user(directory: &Path) -> std::io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let probe = directory.join(format!(".whoami-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let owner = std::fs::File::create_new(&probe).and_then(|file| file.metadata()).map(|about| about.uid());
    // Gone already when another process has cleared the cache.
    let _ = std::fs::remove_file(&probe);
    owner
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    fn refusal(prepare: impl FnOnce(&Path)) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let compiled = folder.path().join("compiled");
        std::fs::create_dir(&compiled).unwrap();
        std::fs::set_permissions(&compiled, std::fs::Permissions::from_mode(0o755)).unwrap();
        prepare(&compiled);
        let error = engine(Some(folder.path())).err()?;
        assert!(error.help().unwrap().contains("RETUNE_CACHE"));
        Some(error.to_string().replace(&folder.path().display().to_string(), "<cache>"))
    }

    #[test]
    fn code_is_not_run_from_a_directory_that_others_can_write_to() {
        let with_mode = |mode| {
            refusal(|compiled| std::fs::set_permissions(compiled, std::fs::Permissions::from_mode(mode)).unwrap())
        };
        assert_eq!(with_mode(0o755), None);
        assert_eq!(with_mode(0o700), None);
        let expected =
            "the cache of compiled plugins in <cache>/compiled cannot be used: others than its owner can write to it";
        for mode in [0o775, 0o757, 0o1777] {
            let told = with_mode(mode).unwrap();
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn code_is_not_run_from_a_directory_of_somebody_else() {
        // Only root can give a directory away; nobody else can be given one here.
        let mut given = false;
        let told = refusal(|compiled| given = chown(compiled, Some(12_345), None).is_ok());
        let expected = "it belongs to user 12345 and you are user 0, and code is run from it";
        assert!(!given || told.as_ref().is_some_and(|told| told.ends_with(expected)), "{told:?}");
    }

    #[test]
    fn what_is_made_to_learn_the_user_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        engine(Some(folder.path())).unwrap();
        let left = std::fs::read_dir(folder.path().join("compiled")).unwrap();
        assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with(".whoami")));
    }
}
