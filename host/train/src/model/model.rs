//! A model: its description, its values, its forward pass.

use std::path::{Path, PathBuf};

use retune_roles::{Example, InitScheme, Layer, Task, TaskKind};
use retune_tensor::device::is_host;
use retune_tensor::{Device, from_float32};

use super::adapter::{AdapterSpec, Module, ModuleKind, Placed};
use super::check::{fits_memory, placements, purpose, tied_head};
use super::dropout::Dropout;
use super::family::{FAMILIES, Family};
use super::initial;
use super::inventory::{Entry, Inventory, Start};
use super::network::{Network, Purpose};
use super::nn::row_norms;
use super::pattern::Patterns;
use super::tensor_files::TensorFiles;
use super::{
    DropoutSeeds, Forward, Input, ModelConfig, ModelError, Origin, Parameter, Parameters, StoredDtype, Weights,
};

/// The task that a checkpoint was made for, when its `config.json` says.
///
/// # Errors
/// When the config cannot be read, or its architecture is a base model's.
pub fn task_of_checkpoint(directory: &Path) -> Result<Task, ModelError> {
    let config = ModelConfig::read(directory)?;
    let architecture = config.architectures.first().map_or("", String::as_str);
    let refuse =
        |key: &str, reason: String| Err(ModelError::Config { path: config.path.clone(), key: key.into(), reason });
    let made_for = config.family.task_of(architecture).map(|kind| of_problem(kind, &config));
    let Some(kind) = made_for else {
        let known: Vec<String> = TaskKind::ALL.iter().map(|kind| format!("…{}", kind.info().class_suffix)).collect();
        let known = known.join(" or ");
        return refuse("architectures", format!("`{architecture}` is not a task model; expected {known}"));
    };
    match &config.labels {
        Some(labels) => Ok(kind.with_labels(labels.clone())),
        None if kind.info().has_labels => refuse(
            "id2label",
            "a classifier needs a name for each class: its keys must be \"0\", \"1\", … without gaps, its values text; \
             edit it, or train with labels of your own"
                .into(),
        ),
        None => Ok(kind.with_labels(Vec::new())),
    }
}

/// Which of the tasks that share a class of transformers: as that does, by `problem_type`, else by the number of labels.
fn of_problem(kind: TaskKind, config: &ModelConfig) -> TaskKind {
    if kind != TaskKind::SequenceClassification {
        return kind;
    }
    match config.raw.get("problem_type").and_then(|problem| problem.as_str()) {
        Some("regression") => TaskKind::Regression,
        Some("multi_label_classification") => TaskKind::MultiLabelClassification,
        Some(_) => kind,
        None => match config.labels.as_ref().is_some_and(|labels| labels.len() == 1) {
            true => TaskKind::Regression,
            false => kind,
        },
    }
}

/// Where the weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// A Hugging Face directory: `config.json` and `model.safetensors`, single or sharded.
    Directory(PathBuf),
    /// A `config.json` alone: every weight is new, from the seed.
    Config(PathBuf),
}

/// What loading did with names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parameters read from the checkpoint.
    pub loaded: usize,
    /// Parameters that are new: heads the checkpoint lacks, or everything.
    pub new: Vec<String>,
    /// Heads that the checkpoint has, but for other labels: new as well, with the reason.
    pub replaced: Vec<(String, String)>,
    /// Tensors of the checkpoint that the task model has no place for.
    pub unused: Vec<String>,
    /// `config.json` says that the head is the token table, but the checkpoint has another one: it is read, as
    /// transformers does, and the export says that they are not tied.
    pub untied: bool,
}

/// Parts and parameters of a model, with an adapter's, and which of the base's are trained whole beside it.
pub(super) fn describe(
    config: &ModelConfig,
    purpose: Purpose,
    task: &Task,
    adapter: Option<&AdapterSpec>,
    files: Option<&TensorFiles>,
) -> Result<(Network, Inventory, Vec<usize>), ModelError> {
    let network = |inventory: &mut Inventory| {
        Network::describe(&config.shape, config.family.prefix, purpose, config.unlearnt_token, inventory)
    };
    let mut inventory = Inventory::default();
    let plain = network(&mut inventory);
    let Some(spec) = adapter else { return Ok((plain, inventory, Vec::new())) };
    // What has an adapter is known once all names are; the second description puts it there.
    let mut adapted = Inventory::with(placements(spec, &inventory, config, task, files)?);
    let network = network(&mut adapted);
    let whole = (0..adapted.entries.len()).filter(|i| adapted.is_whole(&adapted.entries[*i].name)).collect();
    Ok((network, adapted, whole))
}

/// A model on a device.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) config: ModelConfig,
    pub(super) task: Task,
    pub(super) parameters: Parameters,
    layers: Vec<Layer>,
    entries: Vec<Entry>,
    pub(super) network: Network,
    pub(super) device: Device,
    pub(super) origin: Option<PathBuf>,
    pub(super) seed: u64,
    gradient_checkpointing: bool,
    modules: Vec<Module>,
    adapter: Option<Adapted>,
}

/// The adapter of a model.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// What was asked for.
    pub spec: AdapterSpec,
    /// Where it sits.
    pub placed: Vec<Placed>,
    /// Parameters of the base that are trained whole beside it: `modules_to_save`, and the head of a classifier.
    pub whole: Vec<usize>,
}

impl Model {
    /// Reads `base` for `task` onto `device`; what the checkpoint lacks of the
    /// head is initialised from `seed` and reported.
    ///
    /// # Errors
    /// When a file is missing, truncated or contradicts `config.json` (checked from
    /// the headers, before any weight is read), or the architecture does not do the task.
    pub fn load(base: &Base, task: &Task, seed: u64, device: &Device) -> Result<(Self, LoadReport), ModelError> {
        Self::load_from(FAMILIES, base, task, None, seed, device)
    }

    /// The same with an adapter, new from the seed. The parameters of the base are fixed, but for those that are trained
    /// whole: modules that the specification names, the head of a classifier, and heads that the checkpoint lacks.
    ///
    /// # Errors
    /// Those of [`Model::load`], and what of the specification does not fit the model.
    pub fn load_with_adapter(
        base: &Base,
        task: &Task,
        adapter: &AdapterSpec,
        seed: u64,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        Self::load_from(FAMILIES, base, task, Some(adapter), seed, device)
    }

    /// The same with other families than retune's own.
    ///
    /// # Errors
    /// Those of [`Model::load`].
    pub fn load_among(
        families: &[&'static Family],
        base: &Base,
        task: &Task,
        seed: u64,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        Self::load_from(families, base, task, None, seed, device)
    }

    fn load_from(
        families: &[&'static Family],
        base: &Base,
        task: &Task,
        adapter: Option<&AdapterSpec>,
        seed: u64,
        device: &Device,
    ) -> Result<(Self, LoadReport), ModelError> {
        let path = match base {
            Base::Directory(path) | Base::Config(path) => path,
        };
        let mut config = ModelConfig::read_among(families, path)?;
        let files = match base {
            Base::Directory(directory) => Some(TensorFiles::open(directory)?),
            Base::Config(_) => None,
        };
        let (table, family) = (config.shape.embeddings.tokens, config.family);
        let untied = match (&files, tied_head(&mut config, task)) {
            (Some(files), Some((name, tied))) => {
                *tied = !files.has_own_head(name, table, family)?;
                !*tied
            }
            _ => false,
        };
        let purpose = purpose(&config, task)?;
        let (network, inventory, whole) = describe(&config, purpose, task, adapter, files.as_ref())?;
        let mut model = Self {
            config,
            task: task.clone(),
            parameters: Parameters::new(Vec::new()),
            layers: inventory.layers,
            entries: inventory.entries,
            network,
            device: device.clone(),
            origin: None,
            seed,
            gradient_checkpointing: false,
            modules: inventory.modules,
            adapter: adapter.map(|spec| Adapted { spec: spec.clone(), placed: inventory.placed, whole }),
        };
        let report = match (base, files) {
            (Base::Directory(directory), Some(files)) => {
                model.settle_padding(directory)?;
                model.read_values(directory, &files)?
            }
            _ => model.new_values()?,
        };
        model.start_adapter()?;
        model.hold_base();
        Ok((model, LoadReport { untied, ..report }))
    }

    fn read_values(&mut self, directory: &Path, files: &TensorFiles) -> Result<LoadReport, ModelError> {
        let plan = files.plan(&self.entries, &self.config, &self.task)?;
        files.refuse_lost(&plan.unused, &self.config)?;
        fits_memory(&self.entries, &self.config, self.adapter.is_some(), &self.device)?;
        let mut list = Vec::with_capacity(self.entries.len());
        for (index, (entry, source)) in self.entries.iter().zip(&plan.sources).enumerate() {
            list.push(match source {
                Some(name) => {
                    let (values, stored) = files.read(name)?;
                    let mut parameter = self.parameter(entry, values, stored, Origin::Base)?;
                    // At once, so that loading never holds a base in float32 that is then kept in half of that.
                    if self.adapter.as_ref().is_some_and(|adapter| !adapter.whole.contains(&index)) {
                        parameter.narrow()?;
                    }
                    parameter
                }
                None => self.new_parameter(entry, &list)?,
            });
        }
        self.parameters = Parameters::new(list);
        self.origin = Some(directory.to_owned());
        Ok(LoadReport { unused: plan.unused, replaced: plan.replaced, ..self.report() })
    }

    fn new_values(&mut self) -> Result<LoadReport, ModelError> {
        fits_memory(&self.entries, &self.config, self.adapter.is_some(), &self.device)?;
        let mut list = Vec::with_capacity(self.entries.len());
        for entry in &self.entries {
            list.push(self.new_parameter(entry, &list)?);
        }
        self.parameters = Parameters::new(list);
        Ok(self.report())
    }

    /// Which parameters were read, and which are new.
    fn report(&self) -> LoadReport {
        let new: Vec<String> =
            self.parameters.iter().filter(|p| p.origin == Origin::New).map(|p| p.name.clone()).collect();
        let loaded = self.parameters.iter().filter(|p| p.origin == Origin::Base).count();
        LoadReport { loaded, new, ..LoadReport::default() }
    }

    /// With an adapter: fixes what does not learn, and sets the rates of what does.
    fn hold_base(&mut self) {
        let Some(adapter) = &self.adapter else { return };
        let starts: Vec<usize> = adapter.placed.iter().filter_map(|placed| placed.start).flatten().collect();
        for index in 0..self.parameters.len() {
            let own = self.parameters.at(index).is_some_and(|p| p.origin == Origin::Adapter);
            if !own && !adapter.whole.contains(&index) || starts.contains(&index) {
                self.parameters.fix(index);
            }
        }
        let table = |placed: &Placed| self.modules[placed.module].kind == ModuleKind::Table;
        let linear = adapter.placed.iter().filter(|placed| !table(placed));
        let faster: Vec<usize> = linear.map(|placed| placed.b).collect();
        if let Some(ratio) = adapter.spec.loraplus_lr_ratio {
            faster.into_iter().for_each(|index| self.parameters.set_lr_scale(index, ratio));
        }
    }

    /// `before` are the parameters that come before it.
    fn new_parameter(&self, entry: &Entry, before: &[Parameter]) -> Result<Parameter, ModelError> {
        let origin = if entry.adapter { Origin::Adapter } else { Origin::New };
        let values = match entry.start {
            Start::RowNorms { of, transposed } => lengths(&before[of], transposed)?,
            _ => self.start(entry, self.seed),
        };
        self.parameter(entry, values, StoredDtype::Float32, origin)
    }

    /// What a new model has there.
    fn start(&self, entry: &Entry, seed: u64) -> Vec<f32> {
        initial::start(entry, initial::Normal::of(&self.config, &entry.name), seed)
    }

    fn parameter(
        &self,
        entry: &Entry,
        values: Vec<f32>,
        stored: StoredDtype,
        origin: Origin,
    ) -> Result<Parameter, ModelError> {
        Ok(Parameter {
            name: entry.name.clone(),
            layer: entry.layer,
            value: from_float32(values, &entry.shape, &self.device)?,
            trainable: true,
            may_learn: true,
            decay: entry.shape.len() > 1,
            lr_scale: 1.0,
            stored,
            origin,
            shape: entry.shape.clone(),
        })
    }

    /// The checked `config.json`.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What the model does.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Where the parameters are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Names and values, in order.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Names and values, to change.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// A view for one forward pass; see [`Parameters::weights`]. With gradient checkpointing, a tracked forward pass keeps
    /// the states between blocks, and the backward pass runs each block again.
    pub fn weights(&self, tracked: bool) -> Weights {
        let weights = self.parameters.weights(tracked);
        if self.gradient_checkpointing { weights.recomputing() } else { weights }
    }

    /// Whether views made from now on keep activations inside blocks, or recompute them in the backward pass. Gradients are
    /// the same.
    pub fn set_gradient_checkpointing(&mut self, on: bool) {
        self.gradient_checkpointing = on;
    }

    /// The adapter, of a model that was loaded with one.
    pub fn adapter(&self) -> Option<&Adapted> {
        self.adapter.as_ref()
    }

    /// What an adapter can sit beside, in order.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Whether the parameter at `index` belongs to the base of an adapter: nothing changes it.
    pub(crate) fn holds(&self, index: usize) -> bool {
        let may_learn = self.parameters.at(index).is_none_or(|p| p.may_learn || p.origin == Origin::Adapter);
        self.adapter.is_some() && !may_learn
    }

    /// The same of the parameter called `name`.
    pub(crate) fn holds_name(&self, name: &str) -> bool {
        self.parameters.index_of(name).is_some_and(|index| self.holds(index))
    }

    /// Layers in depth order; `trainable` when any of their parameters is.
    pub fn layers(&self) -> Vec<Layer> {
        let mut layers = self.layers.clone();
        layers.iter_mut().for_each(|layer| layer.trainable = false);
        for parameter in &self.parameters {
            layers[parameter.layer].trainable |= parameter.trainable;
        }
        layers
    }

    /// Indices of the parameters that `patterns` take, ascending. Each pattern is
    /// tried on parameter names and, when none fits, on layer names, so that
    /// `encoder.layer.*.mlp` works although no parameter is called `mlp` in BERT.
    ///
    /// # Errors
    /// Names the pattern that takes nothing, and the nearest names.
    pub fn select(&self, patterns: &Patterns) -> Result<Vec<usize>, ModelError> {
        let names = || self.parameters.iter().map(|p| p.name.as_str());
        let layers = || self.layers.iter().map(|l| l.name.as_str());
        let mut taken = std::collections::BTreeSet::new();
        for pattern in patterns.each() {
            if let Ok(hits) = pattern.select(names()) {
                taken.extend(hits);
                continue;
            }
            match pattern.select(layers()) {
                Ok(hits) => taken.extend((0..self.parameters.len()).filter(|i| hits.contains(&self.entries[*i].layer))),
                Err(_) => {
                    pattern.select(names().chain(layers()))?;
                }
            }
        }
        Ok(taken.into_iter().collect())
    }

    /// Puts rows into one micro-batch; see [`Input::from_examples`].
    ///
    /// # Errors
    /// Names the row that does not fit the model.
    pub fn input(&self, examples: &[&Example]) -> Result<Input, ModelError> {
        Input::from_examples(examples, &self.task, &self.config, &self.device)
    }

    /// Runs the model. With `dropout`, one seed a document (a row, unless rows are packed) decides which units drop out.
    ///
    /// # Errors
    /// When the number of seeds is not the number of documents.
    pub fn forward(
        &self,
        weights: &Weights,
        input: &Input,
        dropout: Option<&DropoutSeeds>,
    ) -> Result<Forward, ModelError> {
        if let Some(seeds) = dropout
            && seeds.len() != input.layout().rows().len()
        {
            let (seeds, documents) = (seeds.len(), input.layout().rows().len());
            let problem = format!("dropout needs one seed a document: {seeds} seeds for {documents} documents");
            return Err(ModelError::request(problem));
        }
        let dropout = Dropout::new(dropout, input.layout.clone());
        let run = || self.network.forward(weights, input, &dropout);
        // On a thread of the pool, where going parallel wakes nobody who is awake. A GPU is asked from one thread
        // always: each has a stream of its own there, with memory that other streams do not use.
        let output = if is_host(&self.device) { rayon::scope(|_| run()) } else { run() };
        Ok(Forward::new(output, input.layout.clone()))
    }

    /// Gives a parameter new values. `Normal`, `KaimingUniform` and
    /// `XavierUniform` are for matrices: biases become zero and norms one, as in a
    /// new model. `Pretrained` reads the base again. The same seed gives the same bytes. An adapter begins anew, whatever the scheme:
    /// one that starts as a part of the base, where it began.
    ///
    /// # Errors
    /// When there is no such parameter, or the base cannot be read any more.
    pub fn reinitialize(&mut self, index: usize, scheme: InitScheme, seed: u64) -> Result<(), ModelError> {
        let count = self.entries.len();
        let entry = self
            .entries
            .get(index)
            .ok_or_else(|| ModelError::request(format!("there is no parameter {index}; the model has {count}")))?;
        let from_base = self.parameters.at(index).is_some_and(|parameter| parameter.origin == Origin::Base);
        if entry.start == Start::Principal {
            return self.restart_adapter(index);
        }
        let values = match (scheme, &self.origin) {
            _ if entry.adapter => match (entry.start, self.parameters.iter().as_slice()) {
                (Start::RowNorms { of, transposed }, all) => lengths(&all[of], transposed)?,
                _ => self.start(entry, seed),
            },
            (InitScheme::Pretrained, Some(directory)) if from_base => {
                let files = TensorFiles::open(directory)?;
                let plan = files.plan(std::slice::from_ref(entry), &self.config, &self.task)?;
                match &plan.sources[0] {
                    Some(name) => files.read(name)?.0,
                    None => self.start(entry, self.seed),
                }
            }
            (InitScheme::Pretrained, _) => self.start(entry, self.seed),
            (scheme, _) => initial::scheme(entry, scheme, seed),
        };
        let value = from_float32(values, &entry.shape, &self.device)?;
        self.parameters.set_value(index, value)
    }
}

/// Lengths of the rows of a matrix `[out, in]`, or `[in, out]` when `transposed`.
fn lengths(matrix: &Parameter, transposed: bool) -> Result<Vec<f32>, ModelError> {
    let values: burn::tensor::Tensor<2> = matrix.value.typed()?;
    let lengths = row_norms(if transposed { values.transpose() } else { values }, None);
    Ok(retune_tensor::AnyTensor::from(lengths).to_float32()?)
}
