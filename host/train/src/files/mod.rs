//! Checkpoints on disk.

pub mod checkpoint;
mod disk;
pub(crate) mod exact;
pub(crate) mod tensor_file;
pub(crate) mod whole;
