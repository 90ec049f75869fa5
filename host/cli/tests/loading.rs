//! Components of strangers are loaded in a process of their own, once, and what it may take is bounded.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::{Said, retune};
use tempfile::TempDir;

/// What a component may take to be refused, on a machine that is busy: a fraction of it is what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn component(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("plugin.wasm");
    std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
    path
}

fn inspect(folder: &TempDir, path: &str) -> Said {
    let began = Instant::now();
    let said = retune(folder, &["plugin", "inspect", path], "");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    said
}

/// What lies in the cache of compiled code.
fn kept(folder: &TempDir) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.path().join("cache/compiled")).unwrap();
    let mut kept: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    kept
}

fn focal() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/plugins/focal.wasm");
    assert!(path.is_file(), "{} is missing: run `cargo xtask plugins` first", path.display());
    path.to_str().unwrap().to_owned()
}

/// The most a child of this process has had in memory, in bytes, so far.
fn most_memory() -> u64 {
    // SAFETY: a `rusage` is plain numbers, and the call fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage), 0);
        usage.ru_maxrss as u64 * 1024
    }
}

#[test]
fn instances_in_instances_are_counted_before_anything_is_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let two = "(instance (instantiate $c)) (instance (instantiate $c))";
    let leaf = "(component $c (core module $m) (core instance (instantiate $m)))".to_owned();
    let nested = (0..60).fold(leaf, |inner, _| format!("(component $c {inner} {two})"));
    component(&folder, &format!("(component {nested} (instance (instantiate $c)))"));
    let said = inspect(&folder, "plugin.wasm");
    insta::assert_snapshot!(said.err, @r"
    × plugin.wasm is made of 3458764513820540927 instances of modules and components, and the most is 256
    help: raise `limits.instances`, if you know what the plugin is made of
    ");
    assert_eq!(said.code, 1);
}

/// A function of nested loops that all change all of its variables: what they are is asked at each of them.
fn tangled(loops: usize, variables: usize) -> String {
    let mut body = String::new();
    for _ in 0..loops {
        body.push_str("loop ");
    }
    for at in 0..variables {
        write!(body, "local.get {} local.set {at} ", (at + 1) % variables).unwrap();
    }
    for depth in 0..loops {
        write!(body, "local.get 0 br_if {} end ", loops - 1 - depth).unwrap();
    }
    format!("(component (core module (func (export \"f\") (local {}) {body})))", "i32 ".repeat(variables))
}

#[test]
#[cfg(target_os = "linux")]
fn compiling_is_bounded_in_memory_and_time() {
    let folder = tempfile::tempdir().unwrap();
    component(&folder, &tangled(4_000, 4_000));
    let said = inspect(&folder, "plugin.wasm");
    assert_eq!(said.code, 1, "{}", said.err);
    let told = said.err.lines().next().unwrap();
    assert!(told.starts_with("  × plugin.wasm takes too much to load: compiling it took more than 6"), "{told}");
    assert!(most_memory() < 1 << 30, "{}", most_memory());
    assert_eq!(kept(&folder), Vec::<PathBuf>::new(), "nothing is left of it");
}

#[test]
fn what_was_accepted_once_is_loaded_without_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let first = inspect(&folder, &focal());
    assert_eq!(first.code, 0, "{}", first.err);
    let [code, note] = &kept(&folder)[..] else { panic!("{:?}", kept(&folder)) };
    // What the component answered is not asked again.
    let text = std::fs::read_to_string(note).unwrap();
    std::fs::write(note, text.replace("gamma", "gamut")).unwrap();
    let second = inspect(&folder, &focal());
    assert_eq!(second.out, first.out.replace("gamma", "gamut"));
    // What others could have written is made again.
    for entry in [code, note] {
        std::fs::set_permissions(entry, std::fs::Permissions::from_mode(0o666)).unwrap();
        let again = inspect(&folder, &focal());
        assert_eq!(again.out, first.out);
        assert!(again.err.contains("could have been written by others"), "{}", again.err);
        assert_eq!(std::fs::metadata(entry).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn without_a_place_to_keep_code_plugins_are_loaded_too() {
    let folder = tempfile::tempdir().unwrap();
    let output = support::command(&folder)
        .args(["plugin", "inspect", &focal()])
        .env_remove("RETUNE_CACHE")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("HOME")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_not_well_formed_is_told_as_before() {
    let folder = tempfile::tempdir().unwrap();
    component(&folder, "(component (import \"acme:gpu/kernel\" (instance)))");
    insta::assert_snapshot!(inspect(&folder, "plugin.wasm").err, @r"
    × plugin.wasm asks for acme:gpu/kernel: this host does not have it
    help: a plugin may import retune:plugin and an empty WASI (wasi:cli, wasi:io, wasi:clocks, wasi:filesystem, wasi:random), nothing else
    ");
    std::fs::write(folder.path().join("plugin.wasm"), b"\0asm\x0d\0\x01\0\x01\x05\0\0\0").unwrap();
    insta::assert_snapshot!(inspect(&folder, "plugin.wasm").err, @r"
    × plugin.wasm is not a WebAssembly component: unexpected end-of-file
    help: the file is damaged, or made by a toolchain that is newer than this host
    ");
}
