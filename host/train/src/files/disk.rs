//! What is done with files: waiting until they are on the disk, removing, errors that name them.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use crate::error::TrainError;

/// Waits until a file or directory is on the disk.
pub(crate) fn sync(path: &Path) -> Result<(), TrainError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_error(path, "syncing"))
}

/// Removes a directory that need not be there.
pub(crate) fn remove(directory: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(directory, "removing")(error)),
        _ => Ok(()),
    }
}

/// An error about `path`.
pub(crate) fn io_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> TrainError {
    let path = path.to_path_buf();
    move |source| TrainError::Io { path, doing, source }
}
