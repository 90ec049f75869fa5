//! What a folder with a model holds, and what can be done with it: from `config.json`, the headers of the weights and the
//! tokenizer's files. No weight is read.

use std::collections::BTreeMap;
use std::path::Path;

use retune_data::Tokenization;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_roles::{LayerKind, TaskKind};
use retune_train::Strategy;
use retune_train::model::{Base, ModelConfig, ModelError, Outline, StoredDtype, Task};
use serde::Serialize;

use crate::forecast::Subject;
use crate::words::{amount, bytes, count};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Inspected {
    /// The `model_type`.
    pub family: String,
    /// What `config.json` says the checkpoint is: `LlamaForCausalLM`.
    pub architecture: Option<String>,
    /// Sizes of the network, by their keys.
    pub sizes: Sizes,
    /// Scalars.
    pub parameters: u64,
    /// Scalars by the format in which the weights are stored.
    pub stored: BTreeMap<&'static str, u64>,
    /// Why there are no weights, where there are none.
    pub no_weights: Option<String>,
    /// Layers, those of all blocks together; their names are globs as `strategy.freeze` takes them.
    pub layers: Vec<Group>,
    /// Matrices inside of blocks, by the last part of their module's name, as adapters and globs take them.
    pub matrices: Vec<Matrix>,
    /// The tokenizer, where there is one.
    pub tokenizer: Option<TokenizerFacts>,
    /// Why there is none.
    pub no_tokenizer: Option<String>,
    /// What it can be trained to do.
    pub tasks: Vec<TaskFacts>,
    /// Training all of it, in bytes: float32 weights, their gradients and both moments of AdamW. Activations depend on the rows.
    pub training: Training,
}

/// Sizes of a network.
#[derive(Clone, Debug, Serialize)]
pub struct Sizes {
    /// Tokens that it knows.
    pub vocab_size: usize,
    /// Width of the states between blocks.
    pub hidden_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Heads of queries in a block.
    pub num_attention_heads: usize,
    /// Heads of keys and values, which groups of query heads share.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width inside the feed-forward half.
    pub intermediate_size: usize,
    /// The longest row that it takes.
    pub positions: usize,
    /// Tokens that a windowed block sees, and how many blocks are windowed.
    pub sliding_window: Option<(usize, usize)>,
    /// Whether the head of a language model is the token table.
    pub tie_word_embeddings: Option<bool>,
}

/// Layers that differ in the number of their block only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// `model.layers.{0..29}.mlp`.
    pub glob: String,
    /// How many.
    pub layers: usize,
    /// Scalars of all of them.
    pub parameters: u64,
}

/// Matrices of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// `q_proj`; with the module before it where another has the same name.
    pub name: String,
    /// Rows and columns as they are stored.
    pub shape: Vec<usize>,
    /// How many.
    pub count: usize,
}

/// What is known of a tokenizer.
#[derive(Clone, Debug, Serialize)]
pub struct TokenizerFacts {
    /// `BPE`, `WordPiece`, `Unigram`, `WordLevel`.
    pub kind: &'static str,
    /// Tokens, special ones included.
    pub vocabulary: usize,
    /// Special tokens by their role.
    pub special_tokens: BTreeMap<String, String>,
    /// Names of its chat templates; the one without a name is `default`.
    pub chat_templates: Vec<String>,
    /// What does not fit.
    pub problem: Option<String>,
}

/// A task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskFacts {
    /// As `model.task` takes it.
    pub task: &'static str,
    /// The class of transformers that it is exported as.
    pub class: String,
    /// Parameters of the head that the checkpoint lacks, which are drawn from the seed.
    pub new: Vec<String>,
}

/// Bytes that full fine-tuning holds whatever the batch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Training {
    /// Of the weights, in float32.
    pub weights: u64,
    /// Of their gradients.
    pub gradients: u64,
    /// Of AdamW's two moments.
    pub moments: u64,
}

impl Inspected {
    /// Of the folder, or of a `config.json` alone.
    ///
    /// # Errors
    /// There is no `config.json`, its family is not supported, or weights and config do not belong together.
    pub fn read(path: &Path) -> Result<Self> {
        let told = |error: ModelError| Diagnostic::new(error.to_string());
        let config = ModelConfig::read(path).map_err(told)?;
        let (base, no_weights) = match has_weights(path) {
            true => (Base::Directory(path.to_owned()), None),
            false => (Base::Config(path.to_owned()), Some("there is no safetensors file".to_owned())),
        };
        let architecture = config.architectures.first().cloned();
        let first = architecture.as_deref().and_then(|class| config.family.task_of(class));
        let mut kinds: Vec<TaskKind> = TaskKind::ALL.to_vec();
        kinds.sort_by_key(|kind| (Some(*kind) != first, *kind != TaskKind::CausalLm));
        let (mut outline, mut tasks, mut wrong) = (None, Vec::new(), None);
        for kind in kinds {
            let task = task(kind, &config);
            match Outline::read(&base, &task, None) {
                Ok(found) => {
                    let head = found.parameters.iter().filter(|p| p.stored.is_none() && no_weights.is_none());
                    let new = head.map(|p| p.name.clone()).collect();
                    tasks.push(TaskFacts { task: kind.as_str(), class: config.family.class_for(kind), new });
                    outline.get_or_insert((found, task));
                }
                // Not every family does every task; weights that do not fit the config fit none.
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        let Some((outline, task)) = outline else {
            return Err(wrong.map_or_else(|| Diagnostic::new("it can do no task"), told));
        };
        let subject = Subject::of_outline(&outline, &Strategy::default(), &task, true)
            .map_err(|error| Diagnostic::new(error.to_string()))?;
        let (tokenizer, no_tokenizer) = tokenizer(path, outline.config.shape.vocab_size);
        let mut stored = BTreeMap::new();
        for parameter in &outline.parameters {
            if let Some(dtype) = parameter.stored {
                *stored.entry(format_of(dtype)).or_default() += parameter.numel();
            }
        }
        let parameters = subject.parameters();
        Ok(Self {
            family: config.family.model_type.to_owned(),
            architecture,
            sizes: sizes(&outline),
            parameters,
            stored,
            no_weights,
            layers: groups(&outline),
            matrices: matrices(&outline),
            tokenizer,
            no_tokenizer,
            tasks,
            training: Training { weights: 4 * parameters, gradients: 4 * parameters, moments: 8 * parameters },
        })
    }

    /// As printed.
    pub fn page(&self) -> String {
        let s = &self.sizes;
        let mut out = String::new();
        let mut line = |name: &str, text: String| {
            out.push_str(format!("{name:<12}  {text}").trim_end());
            out.push('\n');
        };
        let class = self.architecture.as_ref().map_or(String::new(), |class| format!(" ({class})"));
        line("family", format!("{}{class}", self.family));
        let stored: Vec<String> = match self.stored.len() {
            1 => self.stored.keys().map(|format| format!("stored as {format}")).collect(),
            _ => self.stored.iter().map(|(format, n)| format!("{} as {format}", amount(*n))).collect(),
        };
        let stored = self.no_weights.clone().unwrap_or_else(|| stored.join(", "));
        line("parameters", format!("{}; {stored}", amount(self.parameters)));
        line(
            "blocks",
            format!("{}, hidden width {}, inner width {}", s.num_hidden_layers, s.hidden_size, s.intermediate_size),
        );
        line(
            "attention",
            format!("{} heads of {}, {} of keys and values", s.num_attention_heads, s.head_dim, s.num_key_value_heads),
        );
        if let Some((window, blocks)) = s.sliding_window {
            line("", format!("{blocks} of {} blocks see {} tokens", s.num_hidden_layers, count(window as u64)));
        }
        line("positions", count(s.positions as u64));
        let tied = match s.tie_word_embeddings {
            Some(true) => ", the head is the token table (tie_word_embeddings)",
            _ => "",
        };
        line("vocabulary", format!("{}{tied}", count(s.vocab_size as u64)));
        match (&self.tokenizer, &self.no_tokenizer) {
            (Some(tokenizer), _) => {
                line("tokenizer", format!("{}, {} tokens", tokenizer.kind, count(tokenizer.vocabulary as u64)));
                let special = tokenizer.special_tokens.iter();
                let special: Vec<String> =
                    special.map(|(role, text)| format!("{} {text:?}", role.trim_end_matches("_token"))).collect();
                line("", special.join(", "));
                line(
                    "chat",
                    match tokenizer.chat_templates.as_slice() {
                        [] => "no template; conversations need one: data.chat.template = \"file.jinja\"".to_owned(),
                        [one] if one == "default" => "has a template".to_owned(),
                        many => format!("templates {}", many.join(", ")),
                    },
                );
                if let Some(problem) = &tokenizer.problem {
                    line("", problem.clone());
                }
            }
            (None, why) => line("tokenizer", why.clone().unwrap_or_else(|| "none".to_owned())),
        }
        for (at, task) in self.tasks.iter().enumerate() {
            let new = match task.new.as_slice() {
                [] if self.no_weights.is_some() => "every weight from the seed".to_owned(),
                [] => "with the head of the checkpoint".to_owned(),
                names => format!("new: {}", names.join(", ")),
            };
            line(if at == 0 { "tasks" } else { "" }, format!("{} ({}; {new})", task.task, task.class));
        }
        let t = &self.training;
        line(
            "to train it",
            format!(
                "{}: weights {}, gradients {}, moments {}, and activations (`retune plan RECIPE`)",
                bytes(t.weights + t.gradients + t.moments),
                bytes(t.weights),
                bytes(t.gradients),
                bytes(t.moments)
            ),
        );
        table(
            &mut out,
            "layers, as strategy.freeze takes them",
            self.layers.iter().map(|group| {
                (
                    group.glob.clone(),
                    format!("{} layer{}", group.layers, if group.layers == 1 { "" } else { "s" }),
                    amount(group.parameters),
                )
            }),
        );
        table(
            &mut out,
            "matrices of the blocks, by the last part of their names",
            self.matrices.iter().map(|matrix| {
                let shape: Vec<String> = matrix.shape.iter().map(usize::to_string).collect();
                (matrix.name.clone(), shape.join(" x "), format!("{} of them", matrix.count))
            }),
        );
        out
    }
}

/// Three columns below a heading.
fn table(out: &mut String, heading: &str, rows: impl Iterator<Item = (String, String, String)>) {
    let rows: Vec<_> = rows.collect();
    let width = |column: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
    };
    let (first, second, third) = (width(|row| &row.0), width(|row| &row.1), width(|row| &row.2));
    out.push_str(&format!("\n{heading}\n"));
    for (a, b, c) in &rows {
        out.push_str(&format!("  {a:<first$}  {b:>second$}  {c:>third$}\n"));
    }
}

fn has_weights(path: &Path) -> bool {
    path.is_dir()
        && std::fs::read_dir(path).into_iter().flatten().flatten().any(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")
        })
}

/// A task as the checkpoint would do it: with its own labels where it has some.
fn task(kind: TaskKind, config: &ModelConfig) -> Task {
    let own = config.labels.clone().filter(|labels| labels.len() > 1 && kind.info().has_labels);
    let two = || if kind.info().has_labels { ["0", "1"].map(str::to_owned).to_vec() } else { Vec::new() };
    kind.with_labels(own.unwrap_or_else(two))
}

fn sizes(outline: &Outline) -> Sizes {
    let shape = &outline.config.shape;
    let windows: Vec<usize> = shape.attention.windows.iter().flatten().copied().collect();
    Sizes {
        vocab_size: shape.vocab_size,
        hidden_size: shape.hidden_size,
        num_hidden_layers: shape.num_hidden_layers,
        num_attention_heads: shape.attention.num_attention_heads,
        num_key_value_heads: shape.attention.num_key_value_heads,
        head_dim: shape.attention.head_dim,
        intermediate_size: shape.feed_forward.intermediate_size,
        positions: shape.longest_row(),
        sliding_window: windows.first().map(|window| (*window, windows.len())),
        tie_word_embeddings: shape.language_head.map(|head| head.tied),
    }
}

fn format_of(dtype: StoredDtype) -> &'static str {
    match dtype {
        StoredDtype::Float32 => "float32",
        StoredDtype::Float16 => "float16",
        StoredDtype::Bfloat16 => "bfloat16",
    }
}

/// Layers of all blocks under one glob each, in depth order.
fn groups(outline: &Outline) -> Vec<Group> {
    let shape = &outline.config.shape;
    let blocks = format!("{}{}.", outline.config.family.prefix, shape.blocks);
    let all = match shape.num_hidden_layers {
        1 => "0".to_owned(),
        blocks => format!("{{0..{}}}", blocks - 1),
    };
    let mut groups: Vec<Group> = Vec::new();
    for layer in &outline.layers {
        let inside = layer.name.strip_prefix(&blocks).and_then(|rest| rest.split_once('.'));
        let glob = match (layer.kind, inside) {
            (LayerKind::Attention | LayerKind::Mlp, Some((_, half))) => format!("{blocks}{all}.{half}"),
            _ => layer.name.clone(),
        };
        match groups.iter_mut().find(|group| group.glob == glob) {
            Some(group) => {
                group.layers += 1;
                group.parameters += layer.parameters;
            }
            None => groups.push(Group { glob, layers: 1, parameters: layer.parameters }),
        }
    }
    groups
}

/// Matrices inside of blocks, in the order of the first block.
fn matrices(outline: &Outline) -> Vec<Matrix> {
    let blocks = format!("{}{}.", outline.config.family.prefix, outline.config.shape.blocks);
    let mut found: Vec<(String, Matrix)> = Vec::new();
    for parameter in outline.parameters.iter().filter(|parameter| parameter.shape.len() == 2) {
        let inside = parameter.name.strip_prefix(&blocks).and_then(|rest| rest.split_once('.'));
        let Some(module) = inside.and_then(|(_, name)| name.strip_suffix(".weight")) else { continue };
        match found.iter_mut().find(|(known, matrix)| known == module && matrix.shape == parameter.shape) {
            Some((_, matrix)) => matrix.count += 1,
            None => {
                let matrix = Matrix { name: String::new(), shape: parameter.shape.clone(), count: 1 };
                found.push((module.to_owned(), matrix));
            }
        }
    }
    let modules: Vec<String> = found.iter().map(|(module, _)| module.clone()).collect();
    found.into_iter().map(|(module, matrix)| Matrix { name: shortest(&module, &modules), ..matrix }).collect()
}

/// The last parts of `module` that no other module ends with.
fn shortest(module: &str, all: &[String]) -> String {
    let parts: Vec<&str> = module.split('.').collect();
    let ends = |other: &str, tail: &str| other == tail || other.ends_with(&format!(".{tail}"));
    let shared = |tail: &str| all.iter().any(|other| other != module && ends(other, tail));
    let mut tails = (0..parts.len()).rev().map(|from| parts[from..].join("."));
    tails.find(|tail| !shared(tail)).unwrap_or_else(|| module.to_owned())
}

fn tokenizer(path: &Path, vocab_size: usize) -> (Option<TokenizerFacts>, Option<String>) {
    if !path.join("tokenizer.json").is_file() {
        return (None, Some("there is no tokenizer.json; model.tokenizer names a folder that has one".to_owned()));
    }
    match Tokenization::open(path) {
        Ok(found) => {
            let facts = TokenizerFacts {
                kind: found.kind(),
                vocabulary: found.vocabulary(),
                special_tokens: found.special_tokens().clone(),
                chat_templates: found.chat_templates(),
                problem: found.check_fits(vocab_size).err().map(|error| error.to_string()),
            };
            (Some(facts), None)
        }
        Err(error) => (None, Some(error.to_string())),
    }
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
