//! Files of prepared rows, kept by the content they were made of.
//!
//! The key is a SHA-256 over everything that decides the rows; nothing in it is a date or a path. A file's time of
//! change is that of its last use: when the files take more than the limit, those that were not used for longest go,
//! never the one just made. What a run has open stays readable to it. Price: a look at every file of the
//! directory when one is added.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::rows_file::{Account, Opened, RowsFile, RowsWriter, WRITING};

/// Bytes that prepared rows may take unless told otherwise: 10 GiB.
pub const DEFAULT_LIMIT: u64 = 10 << 30;

/// A file that is being written is touched all the time; one that was not for a day belongs to a run that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// A directory of prepared rows.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
    limit: u64,
}

/// One file of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: PathBuf,
    /// What it was made of, as a digest.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
}

impl Cache {
    /// The cache in `rows` below `directory`, which need not exist yet, with [`DEFAULT_LIMIT`].
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.join("rows"), limit: DEFAULT_LIMIT }
    }

    /// The same with another limit, in bytes.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Bytes that the files may take.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Where the rows of `key` are kept.
    pub fn path(&self, key: &str) -> PathBuf {
        self.directory.join(format!("{key}.rows"))
    }

    /// Looks for the rows of `key`, and marks them as used.
    pub(crate) fn open(&self, key: &str) -> Opened {
        RowsFile::open(&self.path(key), key)
    }

    /// Keeps what was written as the rows of `key`, and lets go what was not used for longest.
    ///
    /// # Errors
    /// The system's, when the file cannot be finished.
    pub(crate) fn keep(&self, key: &str, rows: RowsWriter, account: Account) -> std::io::Result<RowsFile> {
        let path = self.path(key);
        let kept = rows.finish(key, account, Some(&path))?;
        crate::rows_file::touch(&path);
        // Not being able to make room is no reason to stop.
        let _ = self.shrink(self.limit, Some(&path));
        Ok(kept)
    }

    /// All files, the one used last at the end.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn entries(&self) -> std::io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (path, bytes, used) in self.files()? {
            let key = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".rows"));
            if let Some(key) = key.map(str::to_owned) {
                entries.push(Entry { path, key, bytes, used });
            }
        }
        entries.sort_by(|a, b| a.used.cmp(&b.used).then_with(|| a.key.cmp(&b.key)));
        Ok(entries)
    }

    /// Removes the files not used for longest until the rest takes at most `limit` bytes, and what killed runs left
    /// half written; returns the files that went.
    ///
    /// # Errors
    /// The directory cannot be read, or a file cannot be removed.
    pub fn prune(&self, limit: u64) -> std::io::Result<Vec<Entry>> {
        self.shrink(limit, None)
    }

    fn shrink(&self, limit: u64, spared: Option<&Path>) -> std::io::Result<Vec<Entry>> {
        self.remove_abandoned()?;
        let entries = self.entries()?;
        let mut total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let mut gone = Vec::new();
        for entry in entries.into_iter().filter(|entry| Some(entry.path.as_path()) != spared) {
            if total <= limit {
                break;
            }
            std::fs::remove_file(&entry.path)?;
            total -= entry.bytes;
            gone.push(entry);
        }
        Ok(gone)
    }

    fn remove_abandoned(&self) -> std::io::Result<()> {
        let now = SystemTime::now();
        for (path, _, used) in self.files()? {
            let writing = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(WRITING));
            if writing && now.duration_since(used).is_ok_and(|age| age > ABANDONED) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> std::io::Result<Vec<(PathBuf, u64, SystemTime)>> {
        let listing = match std::fs::read_dir(&self.directory) {
            Ok(listing) => listing,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut files = Vec::new();
        for file in listing {
            let file = file?;
            // One that goes while one looks is not there.
            let Ok(meta) = file.metadata() else { continue };
            if meta.is_file() {
                files.push((file.path(), meta.len(), meta.modified()?));
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    fn keep(cache: &Cache, key: &str) {
        let mut rows = RowsWriter::new(Some(cache.directory()), "t.csv".to_owned()).unwrap();
        rows.push(&Row { key: "t.csv:2".to_owned(), input_ids: vec![1, 2], ..Row::default() }).unwrap();
        cache.keep(key, rows, Account::default()).unwrap();
    }

    fn keys(cache: &Cache) -> Vec<String> {
        cache.entries().unwrap().into_iter().map(|entry| entry.key).collect()
    }

    /// Sets the time of last use, `hours` ago.
    fn used(path: &Path, hours: u64) {
        let time = SystemTime::now() - Duration::from_secs(hours * 3600);
        std::fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_never_what_was_just_made() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        assert!(keys(&cache).is_empty(), "a cache that is not there is empty");
        for (key, hours) in [("a", 3), ("b", 2), ("c", 1)] {
            keep(&cache, key);
            used(&cache.path(key), hours);
        }
        let size = cache.entries().unwrap()[0].bytes;
        assert!(matches!(cache.open("a"), Opened::Whole(_)), "reading is a use");
        assert_eq!(keys(&cache), ["b", "c", "a"]);
        keep(&cache.clone().with_limit(2 * size + size / 2), "d");
        assert_eq!(keys(&cache), ["a", "d"]);
        keep(&cache.clone().with_limit(1), "e");
        assert_eq!(keys(&cache), ["e"], "larger than the limit, and kept for the run that made it");
        assert_eq!(cache.prune(0).unwrap().len(), 1);
        assert!(keys(&cache).is_empty());
    }

    #[test]
    fn what_killed_runs_left_half_written_goes_after_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        keep(&cache, "a");
        let (old, new) = (cache.directory().join(".writing-old"), cache.directory().join(".writing-new"));
        for (path, hours) in [(&old, 25), (&new, 1)] {
            std::fs::write(path, "half").unwrap();
            used(path, hours);
        }
        keep(&cache, "b");
        assert_eq!((old.exists(), new.exists()), (false, true));
    }
}
