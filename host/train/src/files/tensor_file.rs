//! Tensors on their way into a safetensors file.
//!
//! Values are fetched when they are written, one tensor at a time, so a file costs
//! the memory of its largest tensor.

use std::{borrow::Cow, cell::RefCell, io, path::Path};

use rayon::prelude::*;
use retune_tensor::{AnyTensor, TensorError};
use safetensors::{Dtype, View};

use crate::{
    error::TrainError,
    files::disk::{io_error, sync},
    optimizer::gradients::{BLOCK, Floats},
};

/// Where a tensor's bytes come from; read when they are written, one at a time.
pub(crate) enum Source<'a> {
    Tensor(&'a AnyTensor),
    Floats(&'a Floats),
    Bytes(&'a [u8]),
}

/// A tensor on its way into a file.
struct Lazy<'a> {
    shape: Vec<usize>,
    source: Source<'a>,
    failed: &'a RefCell<Option<TensorError>>,
}

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        if matches!(self.source, Source::Bytes(_)) { Dtype::U8 } else { Dtype::F32 }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let floats = match &self.source {
            Source::Bytes(bytes) => return Cow::Borrowed(bytes),
            Source::Floats(Floats::Host(values)) => return Cow::Owned(little_endian(values)),
            Source::Floats(Floats::Device(tensor)) => tensor.to_float32(),
            Source::Tensor(tensor) => tensor.to_float32(),
        };
        match floats {
            Ok(values) => Cow::Owned(little_endian(&values)),
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                Cow::Owned(Vec::new())
            }
        }
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * if self.dtype() == Dtype::U8 { 1 } else { 4 }
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; 4 * values.len()];
    bytes.par_chunks_mut(4 * BLOCK).zip(values.par_chunks(BLOCK)).for_each(|(bytes, values)| {
        for (bytes, value) in bytes.chunks_exact_mut(4).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
    });
    bytes
}

/// Writes and syncs a file of tensors: name, shape, values.
pub(crate) fn write_tensors(path: &Path, tensors: Vec<(String, Vec<usize>, Source<'_>)>) -> Result<(), TrainError> {
    let failed = RefCell::new(None);
    let views = tensors.into_iter().map(|(name, shape, source)| (name, Lazy { shape, source, failed: &failed }));
    let written = safetensors::serialize_to_file(views, None, path);
    if let Some(error) = failed.take() {
        return Err(TrainError::tensor("reading weights for a checkpoint")(error));
    }
    written.map_err(|error| io_error(path, "writing")(io::Error::other(error)))?;
    sync(path)
}
