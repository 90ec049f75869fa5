//! Files of tensors, in the format safetensors: their headers, single tensors of them, and how they are written.
//!
//! Only headers are read at first; a tensor is then read on its own. Values are fetched when they are
//! written, one tensor at a time. Both cost the memory of the largest tensor.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use retune_roles::{caught::caught, text::shortened};
use retune_tensor::{AnyTensor, TensorError};
use safetensors::{
    View,
    tensor::{Dtype, Metadata, TensorInfo},
};

use crate::{
    files::whole,
    model::{ModelError, StoredDtype, stand_in},
    optimizer::gradients::{BLOCK, Floats},
};

/// More than any real header, and little enough to read: room for seventy thousand tensors.
const LARGEST_HEADER: u64 = 8 << 20;

/// The most characters that are told of what is wrong with a header: it may quote it.
const TOLD: usize = 200;

/// Bytes of two files that are compared at a time.
const COMPARED: usize = 1 << 20;

/// Values of a tensor that are copied at a time on their way into a file.
const PIECE: usize = 1 << 20;

/// Where a tensor lies.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub file: PathBuf,
    /// Of the first data byte in the file.
    pub base: u64,
    /// Number format and shape, as the header says.
    pub info: TensorInfo,
}

impl Place {
    /// Reads the tensor's bytes, and nothing else of the file.
    pub fn read(&self) -> Result<Vec<u8>, ModelError> {
        let (start, end) = self.info.data_offsets;
        let mut bytes = vec![0; end - start];
        let mut file = File::open(&self.file).map_err(ModelError::io(&self.file, "cannot be opened"))?;
        file.seek(SeekFrom::Start(self.base + start as u64)).map_err(ModelError::io(&self.file, "cannot be read"))?;
        file.read_exact(&mut bytes).map_err(ModelError::io(&self.file, "cannot be read"))?;
        Ok(bytes)
    }

    /// Whether two tensors of equal size have the same bytes; holds a block of each, not the tensors.
    pub fn same_bytes(&self, other: &Self) -> Result<bool, ModelError> {
        let open = |place: &Self| {
            let mut file = File::open(&place.file).map_err(ModelError::io(&place.file, "cannot be opened"))?;
            file.seek(SeekFrom::Start(place.base + place.info.data_offsets.0 as u64))
                .map_err(ModelError::io(&place.file, "cannot be read"))?;
            Ok::<_, ModelError>(file)
        };
        let (mut one, mut two) = (open(self)?, open(other)?);
        let mut left = self.info.data_offsets.1 - self.info.data_offsets.0;
        let mut blocks = [vec![0; COMPARED], vec![0; COMPARED]];
        while left > 0 {
            let [first, second] = &mut blocks;
            let size = left.min(COMPARED);
            one.read_exact(&mut first[..size]).map_err(ModelError::io(&self.file, "cannot be read"))?;
            two.read_exact(&mut second[..size]).map_err(ModelError::io(&other.file, "cannot be read"))?;
            if first[..size] != second[..size] {
                return Ok(false);
            }
            left -= size;
        }
        Ok(true)
    }
}

/// The tensors of one file, from its header.
pub(crate) fn header(path: &Path) -> Result<BTreeMap<String, Place>, ModelError> {
    let mut file = whole::open(path).map_err(ModelError::io(path, "cannot be opened"))?;
    let length = file.metadata().map_err(ModelError::io(path, "cannot be read"))?.len();
    let truncated = |needed: u64| {
        ModelError::file(
            path,
            format!("it is truncated or not a safetensors file: it has {length} bytes and needs {needed}"),
        )
    };
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|_| truncated(8))?;
    let size = u64::from_le_bytes(size);
    if size > LARGEST_HEADER {
        if let Some(error) = stand_in::pointer(path) {
            return Err(error);
        }
        return Err(ModelError::file(
            path,
            format!(
                "it is not a safetensors file: its header would have {size} bytes, expected at most {LARGEST_HEADER}"
            ),
        ));
    }
    if length < 8 + size {
        return Err(truncated(8 + size));
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text).map_err(ModelError::io(path, "cannot be read"))?;
    let invalid = |reason: String| {
        ModelError::file(path, format!("its safetensors header is not valid: {}", shortened(&reason, TOLD)))
    };
    let metadata: Metadata = caught(|| serde_json::from_slice(&text))
        .map_err(invalid)?
        .map_err(|e: serde_json::Error| invalid(e.to_string()))?;
    let needed = (8 + size).saturating_add(metadata.data_len() as u64);
    if length < needed {
        return Err(truncated(needed));
    }
    let place = |info: &TensorInfo| Place { file: path.to_owned(), base: 8 + size, info: info.clone() };
    Ok(metadata.tensors().into_iter().map(|(name, info)| (name, place(info))).collect())
}

/// The values of a tensor's bytes.
pub(crate) fn float32(bytes: &[u8], stored: StoredDtype) -> Vec<f32> {
    match stored {
        StoredDtype::Float32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        StoredDtype::Bfloat16 => {
            bytes.chunks_exact(2).map(|b| burn::tensor::bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        StoredDtype::Float16 => {
            bytes.chunks_exact(2).map(|b| burn::tensor::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
    }
}

/// The number format of a tensor, when it is one of floats that are read.
pub(crate) fn stored(place: &Place, name: &str) -> Result<StoredDtype, ModelError> {
    match place.info.dtype {
        Dtype::F32 => Ok(StoredDtype::Float32),
        Dtype::F16 => Ok(StoredDtype::Float16),
        Dtype::BF16 => Ok(StoredDtype::Bfloat16),
        other => Err(ModelError::file(
            &place.file,
            format!("tensor `{name}` is stored as {other:?}; supported are F32, F16 and BF16"),
        )),
    }
}

/// Back to the stored format when every value survives it, else float32.
pub(crate) fn encode(values: &[f32], stored: StoredDtype) -> (StoredDtype, Vec<u8>) {
    let halves: Option<Vec<u8>> = match stored {
        StoredDtype::Float32 => None,
        StoredDtype::Bfloat16 => narrow(values, |x| {
            let half = burn::tensor::bf16::from_f32(x);
            (half.to_f32(), half.to_le_bytes())
        }),
        StoredDtype::Float16 => narrow(values, |x| {
            let half = burn::tensor::f16::from_f32(x);
            (half.to_f32(), half.to_le_bytes())
        }),
    };
    match halves {
        Some(bytes) => (stored, bytes),
        None => (StoredDtype::Float32, little_endian(values)),
    }
}

/// The nearest values that the stored format has; unchanged where one would become infinite.
pub(crate) fn rounded(values: Vec<f32>, stored: StoredDtype) -> Vec<f32> {
    let round = |x: f32| match stored {
        StoredDtype::Float32 => x,
        StoredDtype::Bfloat16 => burn::tensor::bf16::from_f32(x).to_f32(),
        StoredDtype::Float16 => burn::tensor::f16::from_f32(x).to_f32(),
    };
    let near: Vec<f32> = values.par_iter().map(|x| round(*x)).collect();
    if near.iter().all(|x| x.is_finite()) { near } else { values }
}

fn narrow(values: &[f32], round: impl Fn(f32) -> (f32, [u8; 2])) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(values.len() * 2);
    for value in values {
        let (back, half) = round(*value);
        if back.to_bits() != value.to_bits() {
            return None;
        }
        bytes.extend_from_slice(&half);
    }
    Some(bytes)
}

/// Where a tensor's bytes come from; read when they are written, one at a time.
pub(crate) enum Source<'a> {
    /// Float32 values, written in a format that holds them; see [`encode`].
    Tensor(&'a AnyTensor, StoredDtype),
    Floats(&'a Floats),
    Bytes(&'a [u8]),
}

/// A tensor on its way into a file.
struct Lazy<'a> {
    shape: Vec<usize>,
    source: Source<'a>,
    name: &'a str,
    failed: &'a RefCell<Option<WriteError>>,
}

impl View for Lazy<'_> {
    fn dtype(&self) -> Dtype {
        match self.source {
            Source::Bytes(_) => Dtype::U8,
            Source::Tensor(_, StoredDtype::Float16) => Dtype::F16,
            Source::Tensor(_, StoredDtype::Bfloat16) => Dtype::BF16,
            Source::Tensor(_, StoredDtype::Float32) | Source::Floats(_) => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let encoded = match &self.source {
            Source::Bytes(bytes) => return Cow::Borrowed(bytes),
            Source::Floats(Floats::Host(values)) => return Cow::Owned(little_endian(values)),
            Source::Floats(Floats::Device(tensor)) => self.encoded(tensor, StoredDtype::Float32),
            Source::Tensor(tensor, stored) => self.encoded(tensor, *stored),
        };
        match encoded {
            Ok(bytes) => Cow::Owned(bytes),
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                Cow::Owned(Vec::new())
            }
        }
    }

    fn data_len(&self) -> usize {
        let width = match self.dtype() {
            Dtype::U8 => 1,
            Dtype::F16 | Dtype::BF16 => 2,
            _ => 4,
        };
        self.shape.iter().product::<usize>() * width
    }
}

impl Lazy<'_> {
    /// The bytes of a tensor, of which a piece at a time is copied.
    fn encoded(&self, tensor: &AnyTensor, stored: StoredDtype) -> Result<Vec<u8>, WriteError> {
        let weights = matches!(self.source, Source::Tensor(..));
        let (flat, length) = (tensor.reshape(&[-1])?, tensor.numel() as i64);
        let mut bytes = Vec::with_capacity(self.data_len());
        for start in (0..length).step_by(PIECE) {
            let values = flat.slice(0, start, (start + PIECE as i64).min(length), 1)?.to_float32()?;
            if weights && values.iter().any(|value| !value.is_finite()) {
                return Err(WriteError::NotFinite(self.name.to_owned()));
            }
            bytes.extend(match stored {
                StoredDtype::Float32 => little_endian(&values),
                half => encode(&values, half).1,
            });
        }
        Ok(bytes)
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

impl From<TensorError> for WriteError {
    fn from(error: TensorError) -> Self {
        Self::Tensor(error)
    }
}

/// Why a file was not written.
pub(crate) enum WriteError {
    /// A value could not be fetched.
    Tensor(TensorError),
    /// A weight of the tensor of this name is infinite or no number.
    NotFinite(String),
    /// The file could not be made.
    File(io::Error),
}

/// Writes a file of tensors: name, shape, values.
pub(crate) fn write_tensors(
    path: &Path,
    metadata: Option<HashMap<String, String>>,
    tensors: Vec<(String, Vec<usize>, Source<'_>)>,
) -> Result<(), WriteError> {
    let failed = RefCell::new(None);
    let names: Vec<String> = tensors.iter().map(|(name, _, _)| name.clone()).collect();
    let each = tensors.into_iter().zip(&names);
    let views =
        each.map(|((name, shape, source), called)| (name, Lazy { shape, source, name: called, failed: &failed }));
    let written = safetensors::serialize_to_file(views, metadata, path);
    match failed.take() {
        Some(error) => Err(error),
        None => written.map_err(|error| WriteError::File(io::Error::other(error))),
    }
}
