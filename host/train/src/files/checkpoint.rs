//! Checkpoints: directories that are whole or not there.
//!
//! ```text
//! checkpoints/step-00000040/   weights.safetensors, optimizer.safetensors,
//!                              roles.safetensors, state.json, manifest.json
//! checkpoints/best-00000030/   weights.safetensors, state.json, manifest.json
//! ```
//!
//! A checkpoint is written under a hidden name, each file synced, the manifest
//! (size and SHA-256 of every file) last; then the directory is renamed. Opening
//! one compares every byte with the manifest, a piece at a time, so a torn one is
//! found and said to be torn, never half read. Tensors are then read one by one: going
//! on takes the memory of training and of the largest tensor.
//!
//! Of a model with an adapter the base is left out: nothing changes it, and `state.json` has the digest of each of its
//! parameters, as of all that is frozen, which are compared when the run goes on.
//!
//! Price: three numbers a learning scalar, one a frozen one, written and read back
//! once, and read twice to go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use retune_roles::digest::hex;
use retune_tensor::device::is_host;
use safetensors::Dtype;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    error::TrainError,
    files::disk::{io_error, remove, sync},
    files::tensor_file::{Place, Source, WriteError, float32, header, write_tensors},
    model::{Model, Parameter, Parameters, StoredDtype},
    optimizer::adamw::{Moments, Optimizer},
    optimizer::gradients::{Floats, from_floats},
};

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const ROLES: &str = "roles.safetensors";
const STATE: &str = "state.json";
const MANIFEST: &str = "manifest.json";
const FORMAT: u32 = 1;

/// Names of a checkpoint that is being written, and of one that is being replaced, begin so.
const WRITING: &str = ".writing-";
const REPLACED: &str = ".replaced-";

/// What a checkpoint is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Everything a run needs to go on after so many steps.
    Step(u64),
    /// The weights that did best, after so many steps.
    Best(u64),
}

impl Name {
    fn directory(self) -> String {
        match self {
            Self::Step(step) => format!("step-{step:08}"),
            Self::Best(step) => format!("best-{step:08}"),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let (kind, step) = name.split_once('-')?;
        let step = step.parse().ok()?;
        match kind {
            "step" => Some(Self::Step(step)),
            "best" => Some(Self::Best(step)),
            _ => None,
        }
    }
}

/// The directory of a run's checkpoints.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    files: BTreeMap<String, FileEntry>,
}

#[derive(Serialize, Deserialize)]
struct FileEntry {
    bytes: u64,
    sha256: String,
}

/// What goes into a checkpoint.
pub(crate) struct Contents<'a, S> {
    pub model: &'a Model,
    /// Absent for the best weights, which nothing goes on from.
    pub optimizer: Option<&'a Optimizer>,
    /// Bytes of the roles, by a name of the run's.
    pub roles: &'a [(String, Vec<u8>)],
    pub state: &'a S,
}

/// A checkpoint whose every byte was compared with its manifest.
pub(crate) struct Opened {
    pub path: PathBuf,
    /// Names of the files that were compared; their bytes are read when they are wanted.
    files: BTreeSet<String>,
}

impl Store {
    /// At `directory`, which need not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Where a checkpoint is, or would be.
    pub fn path(&self, name: Name) -> PathBuf {
        self.directory.join(name.directory())
    }

    /// What is there, in ascending order; not yet known to be whole.
    pub fn list(&self) -> Result<Vec<Name>, TrainError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error(&self.directory, "listing checkpoints")(error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str().and_then(Name::parse));
        let mut names: Vec<Name> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Writes a checkpoint; when this returns it will survive a loss of power.
    pub(crate) fn write<S: Serialize>(&self, name: Name, contents: &Contents<'_, S>) -> Result<PathBuf, TrainError> {
        let target = self.path(name);
        let hidden = |prefix: &str| self.directory.join(format!("{prefix}{}", name.directory()));
        let (writing, replaced) = (hidden(WRITING), hidden(REPLACED));
        remove(&writing)?;
        remove(&replaced)?;
        fs::create_dir_all(&writing).map_err(io_error(&writing, "creating the directory"))?;

        let weights = kept(contents.model)
            .map(|p| (p.name.clone(), p.shape().to_vec(), Source::Tensor(&p.value, StoredDtype::Float32)));
        write_synced(&writing.join(WEIGHTS), weights.collect())?;
        if let Some(optimizer) = contents.optimizer {
            write_synced(&writing.join(OPTIMIZER), moments(contents.model.parameters(), optimizer))?;
            let roles =
                contents.roles.iter().map(|(name, bytes)| (name.clone(), vec![bytes.len()], Source::Bytes(bytes)));
            write_synced(&writing.join(ROLES), roles.collect())?;
        }
        write_json(&writing.join(STATE), contents.state)?;
        write_manifest(&writing)?;
        sync(&writing)?;

        if target.exists() {
            fs::rename(&target, &replaced).map_err(io_error(&target, "moving the old checkpoint away"))?;
        }
        fs::rename(&writing, &target).map_err(io_error(&target, "renaming"))?;
        sync(&self.directory)?;
        remove(&replaced)?;
        Ok(target)
    }

    /// Reads a checkpoint and compares it with its manifest.
    ///
    /// # Errors
    /// One sentence about what is torn.
    pub(crate) fn open(&self, name: Name) -> Result<Opened, String> {
        let path = self.path(name);
        let unreadable = |file: &str, error: io::Error| format!("{file} cannot be read: {error}");
        let manifest = fs::read(path.join(MANIFEST)).map_err(|error| unreadable(MANIFEST, error))?;
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|error| format!("{MANIFEST} is damaged: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!("it has format {}, this program reads {FORMAT}", manifest.format));
        }
        for (file, said) in &manifest.files {
            let found = entry(&path.join(file)).map_err(|error| unreadable(file, error))?;
            if found.bytes != said.bytes {
                return Err(format!("{file} has {} bytes, the manifest says {}", found.bytes, said.bytes));
            }
            if found.sha256 != said.sha256 {
                return Err(format!("{file} does not have the digest that the manifest says"));
            }
        }
        Ok(Opened { path, files: manifest.files.into_keys().collect() })
    }

    /// The state of a checkpoint, when it can be read; nothing is compared.
    pub(crate) fn peek<S: DeserializeOwned>(&self, name: Name) -> Option<S> {
        serde_json::from_slice(&fs::read(self.path(name).join(STATE)).ok()?).ok()
    }

    /// Puts right what a killed run left behind: a checkpoint that was being written is removed, and one that
    /// was about to be replaced is back in its place, unless its successor is there.
    pub fn recover(&self) -> Result<(), TrainError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io_error(&self.directory, "listing checkpoints")(error)),
        };
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str() else { continue };
            if let Some(replaced) = name.strip_prefix(REPLACED)
                && Name::parse(replaced).is_some()
            {
                let target = self.directory.join(replaced);
                if target.exists() {
                    remove(&path)?;
                } else {
                    fs::rename(&path, &target).map_err(io_error(&path, "renaming"))?;
                }
            } else if name.strip_prefix(WRITING).is_some_and(|name| Name::parse(name).is_some()) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what `keep` does not want.
    pub fn prune(&self, keep: impl Fn(Name) -> bool) -> Result<(), TrainError> {
        for name in self.list()? {
            if !keep(name) {
                remove(&self.path(name))?;
            }
        }
        Ok(())
    }
}

impl Opened {
    /// The JSON state.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S, TrainError> {
        let path = self.file(STATE)?;
        let json = fs::read(&path).map_err(io_error(&path, "reading"))?;
        serde_json::from_slice(&json).map_err(|error| self.unfit(format!("{STATE}: {error}")))
    }

    /// Puts the weights into `model`, which has the base of an adapter already.
    pub fn restore_weights(&self, model: &mut Model) -> Result<(), TrainError> {
        let tensors = self.tensors(WEIGHTS)?;
        let device = model.device().clone();
        let expected = kept(model).count();
        if tensors.len() != expected {
            let whole = if expected == model.parameters().len() { "" } else { " beside the base of its adapter" };
            return Err(self.unfit(format!("it has {} parameters, the model {expected}{whole}", tensors.len())));
        }
        for index in 0..model.parameters().len() {
            if model.holds(index) {
                continue;
            }
            let Some(parameter) = model.parameters().at(index) else { continue };
            let (name, shape) = (parameter.name.clone(), parameter.shape().to_vec());
            let values = self.floats(&tensors, &name, &shape)?;
            let value =
                from_floats(values, &shape, &device).map_err(TrainError::tensor(format!("restoring `{name}`")))?;
            model.parameters_mut().set_value(index, value)?;
        }
        Ok(model.parameters_mut().narrow_fixed()?)
    }

    /// Puts the moments into `optimizer`; `steps` has the updates of each parameter that has some.
    pub fn restore_optimizer(
        &self,
        model: &Model,
        optimizer: &mut Optimizer,
        steps: &BTreeMap<String, u64>,
    ) -> Result<(), TrainError> {
        let tensors = self.tensors(OPTIMIZER)?;
        for (name, &step) in steps {
            let Some(index) = model.parameters().index_of(name) else {
                return Err(self.unfit(format!("it has optimiser state for `{name}`, which the model does not have")));
            };
            let length = model.parameters().at(index).map_or(0, |p| p.numel() as usize);
            let moment = |which: &str| {
                let values = self.floats(&tensors, &format!("{name}.{which}"), &[length])?;
                if is_host(model.device()) {
                    return Ok(Floats::Host(values));
                }
                from_floats(values, &[length], model.device())
                    .map(Floats::Device)
                    .map_err(TrainError::tensor(format!("restoring `{name}`")))
            };
            optimizer.set_moments(index, Moments { step, first: moment("exp_avg")?, second: moment("exp_avg_sq")? });
        }
        Ok(())
    }

    /// The bytes a role saved under `name`.
    pub fn role(&self, name: &str) -> Result<Option<Vec<u8>>, TrainError> {
        Ok(self.tensors(ROLES)?.get(name).map(Place::read).transpose()?)
    }

    /// An error about this checkpoint, which is whole but does not fit.
    pub fn unfit(&self, problem: String) -> TrainError {
        let help = "go on with the recipe, data and plugins it was made with, or train in another run directory";
        TrainError::Checkpoint { path: self.path.clone(), problem, help: Some(help.into()) }
    }

    fn file(&self, name: &str) -> Result<PathBuf, TrainError> {
        if self.files.contains(name) { Ok(self.path.join(name)) } else { Err(self.unfit(format!("{name} is missing"))) }
    }

    /// Where the tensors of `file` lie.
    fn tensors(&self, file: &str) -> Result<BTreeMap<String, Place>, TrainError> {
        Ok(header(&self.file(file)?)?)
    }

    fn floats(&self, tensors: &BTreeMap<String, Place>, name: &str, shape: &[usize]) -> Result<Vec<f32>, TrainError> {
        let place = tensors.get(name).ok_or_else(|| self.unfit(format!("`{name}` is missing")))?;
        if place.info.dtype != Dtype::F32 || place.info.shape != shape {
            return Err(self.unfit(format!("`{name}` has shape {:?}, expected {shape:?}", place.info.shape)));
        }
        Ok(float32(&place.read()?, StoredDtype::Float32))
    }
}

/// What a checkpoint holds: every parameter but the base of an adapter, which nothing changes and the run has at hand.
fn kept(model: &Model) -> impl Iterator<Item = &Parameter> {
    model.parameters().iter().enumerate().filter(|(index, _)| !model.holds(*index)).map(|(_, parameter)| parameter)
}

/// Writes a file of tensors and waits until it is on the disk.
fn write_synced(path: &Path, tensors: Vec<(String, Vec<usize>, Source<'_>)>) -> Result<(), TrainError> {
    write_tensors(path, None, tensors).map_err(|error| match error {
        WriteError::Tensor(error) => TrainError::tensor("reading weights for a checkpoint")(error),
        WriteError::NotFinite(name) => TrainError::Data {
            problem: format!("`{name}` is not finite, so it was not written to {}", path.display()),
            help: Some("lower optimizer.learning_rate, or what policies multiply it by".into()),
        },
        WriteError::File(error) => io_error(path, "writing")(error),
    })?;
    sync(path)
}

/// Updates of each parameter that has optimiser state.
pub(crate) fn optimizer_steps(parameters: &Parameters, optimizer: &Optimizer) -> BTreeMap<String, u64> {
    let steps = parameters.iter().enumerate().filter_map(|(i, p)| Some((p.name.clone(), optimizer.moments(i)?.step)));
    steps.collect()
}

fn moments<'a>(parameters: &'a Parameters, optimizer: &'a Optimizer) -> Vec<(String, Vec<usize>, Source<'a>)> {
    let states = parameters.iter().enumerate().filter_map(|(index, p)| Some((p, optimizer.moments(index)?)));
    states
        .flat_map(|(p, moments)| {
            let shape = vec![p.numel() as usize];
            [
                (format!("{}.exp_avg", p.name), shape.clone(), Source::Floats(&moments.first)),
                (format!("{}.exp_avg_sq", p.name), shape, Source::Floats(&moments.second)),
            ]
        })
        .collect()
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let json = serde_json::to_vec_pretty(value).map_err(|error| io_error(path, "writing")(io::Error::other(error)))?;
    fs::write(path, json).map_err(io_error(path, "writing"))?;
    sync(path)
}

fn write_manifest(directory: &Path) -> Result<(), TrainError> {
    let names: Vec<&str> =
        [WEIGHTS, OPTIMIZER, ROLES, STATE].into_iter().filter(|name| directory.join(name).exists()).collect();
    let entries = names.into_par_iter().map(|name| {
        let path = directory.join(name);
        Ok((name.to_string(), entry(&path).map_err(io_error(&path, "reading back"))?))
    });
    let files = entries.collect::<Result<BTreeMap<_, _>, TrainError>>()?;
    write_json(&directory.join(MANIFEST), &Manifest { format: FORMAT, files })
}

/// Size and digest of a file, read a piece at a time.
fn entry(path: &Path) -> io::Result<FileEntry> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(FileEntry { bytes, sha256: hex(&hash.finalize()) });
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}
