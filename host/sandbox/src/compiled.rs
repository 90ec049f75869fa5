//! The directory of compiled code: what this host has compiled and accepted, under the digest of the component.
//!
//! Compiled code is native code, so nothing is loaded that somebody else could have written. The directory must be this
//! user's and writable by nobody else; each entry is opened without following links and must be a regular file of this user
//! that nobody else can write to. What is not is deleted and made again. An entry is two files: the code, and behind it a note of
//! what the component answered when it was accepted; code without its note was never accepted. Both are written under another
//! name first.
//!
//! Price: code is read whole, a few megabytes for a plugin and some hundred for an interpreter.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::LoadError;

/// Bytes of entries that are kept; those not used for longest go first.
const KEPT: u64 = 2 << 30;

/// What a component answered when it was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Its configuration's JSON Schema; none when it was compiled without being asked.
    pub schema: Option<Value>,
}

/// A directory of compiled code that is this user's alone.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    directory: PathBuf,
    /// Who this process is to the file system.
    me: u32,
    /// Tells apart what engines of other versions, settings and processors have compiled.
    engine: String,
}

impl Compiled {
    /// The directory `compiled` below `directory`, made when it is not there.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, LoadError> {
        let directory = directory.join("compiled");
        let failed = |reason: String, help: &str| LoadError::Cache {
            directory: directory.clone(),
            reason,
            help: help.to_owned(),
        };
        let elsewhere = "choose a directory that can be written, with RETUNE_CACHE";
        create_private(&directory).map_err(|e| failed(e.to_string(), elsewhere))?;
        let about = std::fs::metadata(&directory).map_err(|e| failed(e.to_string(), elsewhere))?;
        let me = user(&directory).map_err(|e| failed(e.to_string(), elsewhere))?;
        if let Some(reason) = distrust(&about, me) {
            let help = "delete it: it is only a cache, and what lies in it may have been put there by others; or choose \
                        another directory with RETUNE_CACHE";
            return Err(failed(reason, help));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { directory, me, engine: format!("{:016x}", hasher.finish()) })
    }

    fn code(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}-{}.code", self.engine))
    }

    fn note(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}-{}.json", self.engine))
    }

    /// Where the code of a component that is being compiled may be written, in this directory.
    pub(crate) fn begin(&self) -> std::io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new().prefix(".compiling-").tempfile_in(&self.directory)
    }

    /// Keeps what was compiled into `code` from the component with this digest.
    pub(crate) fn keep(&self, digest: &str, code: tempfile::NamedTempFile, note: &Note) -> std::io::Result<()> {
        code.persist(self.code(digest)).map_err(|error| error.error)?;
        let file = self.begin()?;
        serde_json::to_writer(&file, note)?;
        file.persist(self.note(digest)).map_err(|error| error.error)?;
        self.prune();
        Ok(())
    }

    /// The compiled component with this digest and what it answered, when it was accepted before.
    pub(crate) fn find(&self, digest: &str, engine: &Engine) -> Option<(Component, Note)> {
        let note = serde_json::from_slice(&trusted(&self.note(digest), self.me)?).ok()?;
        let path = self.code(digest);
        let code = trusted(&path, self.me)?;
        // SAFETY: `trusted` gave the bytes of a file that only this user can have written, in a directory that only this user
        // can write to, and nothing but `keep` writes there. wasmtime refuses code of another version or processor.
        let component = unsafe { Component::deserialize(engine, &code) };
        if component.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        Some((component.ok()?, note))
    }

    /// Deletes the entries that were not used for longest, beyond [`KEPT`].
    fn prune(&self) {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let about = entry.metadata().ok()?;
                Some((about.modified().ok()?, about.len(), entry.path()))
            })
            .collect();
        entries.sort_by(|a, b| b.cmp(a));
        let mut bytes = 0_u64;
        for (_, size, path) in entries {
            bytes = bytes.saturating_add(size);
            if bytes > KEPT {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// The bytes of an entry, when nobody else can have written them. One that others could have written is deleted; one that is used
/// is marked as used now.
fn trusted(path: &Path, me: u32) -> Option<Vec<u8>> {
    let mut file = open(path)?;
    if distrust(&file.metadata().ok()?, me).is_some() {
        tracing::warn!("{} could have been written by others: it is deleted and made again", path.display());
        let _ = std::fs::remove_file(path);
        return None;
    }
    let _ = file.set_modified(SystemTime::now());
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A regular file, whose name is not a link.
#[cfg(unix)]
fn open(path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(error) => {
            if error == rustix::io::Errno::LOOP {
                let _ = std::fs::remove_file(path);
            }
            return None;
        }
    };
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(not(unix))]
fn open(path: &Path) -> Option<File> {
    File::open(path).ok()
}

/// Why somebody other than `me` could have written what this is about, if one could.
#[cfg(unix)]
fn distrust(about: &std::fs::Metadata, me: u32) -> Option<String> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Some(format!(
            "others than its owner can write to it (its mode is {mode:03o}), and code is run from it"
        ));
    }
    (about.uid() != me)
        .then(|| format!("it belongs to user {} and you are user {me}, and code is run from it", about.uid()))
}

#[cfg(not(unix))]
fn distrust(_: &std::fs::Metadata, _: u32) -> Option<String> {
    None
}

/// Who this process is to the file system: the owner of a file that it makes. Where nothing can be made, its own number.
#[cfg(unix)]
fn user(directory: &Path) -> std::io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    match tempfile::tempfile_in(directory) {
        Ok(file) => Ok(file.metadata()?.uid()),
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => Ok(rustix::process::geteuid().as_raw()),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn user(_: &Path) -> std::io::Result<u32> {
    Ok(0)
}

fn create_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use serde_json::json;

    use super::*;
    use crate::engine::engine;

    /// The smallest component there is.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(prepare: impl FnOnce(&Path)) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let compiled = folder.path().join("compiled");
        std::fs::create_dir(&compiled).unwrap();
        mode(&compiled, 0o755);
        prepare(&compiled);
        let error = Compiled::open(folder.path(), &engine().unwrap()).err()?;
        assert!(error.help().unwrap().starts_with("delete it: it is only a cache"));
        Some(error.to_string().replace(&folder.path().display().to_string(), "<cache>"))
    }

    #[test]
    fn code_is_not_run_from_a_directory_that_others_can_write_to() {
        let with_mode = |mode| refusal(|compiled| self::mode(compiled, mode));
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

    /// A directory with one entry, and the paths of its two files.
    fn kept() -> (tempfile::TempDir, Compiled, Engine, [PathBuf; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine().unwrap();
        let compiled = Compiled::open(folder.path(), &engine).unwrap();
        let code = compiled.begin().unwrap();
        std::fs::write(code.path(), engine.precompile_component(EMPTY).unwrap()).unwrap();
        compiled.keep("digest", code, &Note { schema: Some(json!({"type": "object"})) }).unwrap();
        let paths = [compiled.code("digest"), compiled.note("digest")];
        (folder, compiled, engine, paths)
    }

    #[test]
    fn an_entry_comes_back_with_its_note_and_only_under_its_digest() {
        let (_folder, compiled, engine, paths) = kept();
        assert_eq!(compiled.find("digest", &engine).unwrap().1.schema, Some(json!({"type": "object"})));
        assert!(compiled.find("another", &engine).is_none());
        // Code that was never accepted.
        std::fs::remove_file(&paths[1]).unwrap();
        assert!(compiled.find("digest", &engine).is_none());
        let left: Vec<_> =
            std::fs::read_dir(&compiled.directory).unwrap().flatten().map(|entry| entry.path()).collect();
        assert_eq!(left, [paths[0].clone()], "what was only written for a moment is gone");
    }

    #[test]
    fn an_entry_that_others_could_have_written_is_deleted_and_not_loaded() {
        for which in [0, 1] {
            for bits in [0o666, 0o620, 0o602] {
                let (_folder, compiled, engine, paths) = kept();
                mode(&paths[which], bits);
                assert!(compiled.find("digest", &engine).is_none(), "{bits:o}");
                assert!(!paths[which].exists());
            }
            let (_folder, compiled, engine, paths) = kept();
            if chown(&paths[which], Some(12_345), None).is_ok() {
                assert!(compiled.find("digest", &engine).is_none());
                assert!(!paths[which].exists());
            }
        }
    }

    #[test]
    fn a_link_a_folder_and_code_that_is_none_are_not_loaded() {
        let (folder, compiled, engine, [code, _]) = kept();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::rename(&code, &elsewhere).unwrap();
        symlink(&elsewhere, &code).unwrap();
        assert!(compiled.find("digest", &engine).is_none());
        assert!(elsewhere.exists() && code.symlink_metadata().is_err(), "the link is deleted, not what it names");
        std::fs::create_dir(&code).unwrap();
        assert!(compiled.find("digest", &engine).is_none());
        std::fs::remove_dir(&code).unwrap();
        std::fs::write(&code, "native code of another version").unwrap();
        mode(&code, 0o600);
        assert!(compiled.find("digest", &engine).is_none());
        assert!(!code.exists());
    }

    #[test]
    fn entries_that_were_not_used_for_longest_go_first() {
        let (_folder, compiled, _, paths) = kept();
        let large = compiled.directory.join("old.code");
        File::create(&large).unwrap().set_len(KEPT).unwrap();
        File::options().write(true).open(&large).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        compiled.prune();
        assert!(!large.exists() && paths.iter().all(|path| path.exists()));
    }
}
