//! `retune predict`: labels or numbers for texts, or labels for their words, with a trained model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use retune_data::{DataSpec, LentTokenizer, SplitName, TaskKind, Tokenization, prepare_source};
use retune_roles::{Rows, Stage, Tokenizer};
use retune_tensor::device::DeviceChoice;
use retune_train::model::{Task, Trained};
use retune_train::{Prediction, TrainError, predict, predict_scores, predict_tags};
use serde_json::{Map, Value as Json, json};

use super::common::Common;
use super::scores::{THRESHOLD, Told};
use super::texts::{Asked, Texts};
use super::words::Words;
use crate::console::Console;
use crate::stdout;
use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_run::machine;
use retune_run::roles::{RunRoles, is_stateful};
use retune_run::run_dir::RunDir;
use retune_run::{locate, manifest, open_trained, settings};

/// Arguments of `retune predict`.
#[derive(Debug, clap::Args)]
#[command(mut_arg("json", |arg| arg.help("Print one JSON object per text, with the probability of every label")))]
#[command(mut_arg("device", |arg| arg.help("Compute on this device: auto, cpu, cuda:0 [default: auto]")))]
pub struct Args {
    /// A run directory (its preprocessors apply, those that compare rows excepted), a Hugging Face directory, or an adapter
    model: PathBuf,
    /// The base of an adapter [default: the folder that the adapter names]
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    #[command(flatten)]
    texts: Texts,
    /// Name labels from this probability on, where a text can have several [default: 0.5]
    #[arg(long, value_name = "P")]
    threshold: Option<f64>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let console = args.common.console();
    let mut reader = Reader::open(&args.model, args.base.as_deref(), &console)?;
    let task = reader
        .model
        .task()
        .map_err(|e| Diagnostic::new(e.to_string()).help("predict needs a classifier that has been trained"))?;
    match &task {
        Task::SequenceClassification { .. } => {}
        Task::MultiLabelClassification { .. } | Task::Regression { .. } => reader.spec.task = task.kind(),
        Task::TokenClassification { .. } => reader.reads_words(),
        Task::CausalLm | Task::MaskedLm => {
            let does = task.info().description;
            let asked = matches!(task, Task::CausalLm)
                .then_some("`retune generate` asks a language model, and `retune chat` talks to it");
            return Err(Diagnostic::new(format!("this model predicts {does}; it knows no labels"))
                .help("use a model trained to classify, such as with task = \"sequence-classification\"")
                .help_some(asked.map(str::to_owned)));
        }
    }
    let threshold = threshold(args, &task)?;
    let labels = task.labels().to_vec();
    let asked = args.texts.read(&reader.spec.columns, &console)?;
    let device = args
        .common
        .device
        .unwrap_or(DeviceChoice::Auto)
        .resolve()
        .map_err(|e| Diagnostic::new(e.to_string()).help("`retune doctor` shows what this machine has"))?;
    let (model, _) = reader.model.load(&task, 0, &device).map_err(|e| Diagnostic::new(e.to_string()))?;
    if let Task::TokenClassification { .. } = task {
        let answers = reader.answers(&asked, |rows| predict_tags(&model, rows, reader.batch), |answer| &answer.key)?;
        for (asked, answer) in asked.iter().zip(answers) {
            let words = Words::new(asked, reader.spec.columns.tokens.as_deref().unwrap_or_default(), answer, &labels);
            stdout::line(if args.common.json { words.json().to_string() } else { words.line() });
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Task::MultiLabelClassification { .. } | Task::Regression { .. } = task {
        let told = Told::new(&task, threshold);
        let answers =
            reader.answers(&asked, |rows| predict_scores(&model, rows, reader.batch), |answer| &answer.key)?;
        for (asked, answer) in asked.iter().zip(answers) {
            stdout::line(match args.common.json {
                true => told.json(&asked.text, answer.as_ref()).to_string(),
                false => told.line(asked, answer.as_ref()),
            });
        }
        return Ok(ExitCode::SUCCESS);
    }
    let answers = reader.answers(&asked, |rows| predict(&model, rows, reader.batch), |answer| &answer.key)?;
    for (asked, answer) in asked.iter().zip(answers) {
        if args.common.json {
            stdout::line(as_json(&asked.text, answer.as_ref(), &labels).to_string());
        } else {
            stdout::line(as_line(asked, answer.as_ref(), &labels));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The probability from which labels are named.
fn threshold(args: &Args, task: &Task) -> Result<f64> {
    match args.threshold {
        None => Ok(THRESHOLD),
        Some(_) if !matches!(task, Task::MultiLabelClassification { .. }) => {
            let made_for = task.kind();
            Err(Diagnostic::new(format!("`--threshold` has no meaning for {made_for}"))
                .help("it is for models of which a text can have several labels; leave it out"))
        }
        Some(threshold) if threshold > 0.0 && threshold < 1.0 => Ok(threshold),
        Some(threshold) => {
            Err(Diagnostic::new(format!("`--threshold` is {threshold}, which is no probability to reach"))
                .help("give more than 0 and less than 1"))
        }
    }
}

fn as_line(asked: &Asked, answer: Option<&Prediction>, labels: &[String]) -> String {
    let text = &asked.text;
    match answer {
        Some(p) => format!("{:.4}  {}  {text}", p.probabilities[p.label], labels[p.label]),
        None if asked.fields.is_none() => "     –  (no text)".to_owned(),
        None => format!("     –  (dropped: a preprocessor refused it, or it has no token)  {text}"),
    }
}

fn as_json(text: &str, answer: Option<&Prediction>, labels: &[String]) -> Json {
    match answer {
        Some(p) => {
            let all: Map<String, Json> =
                labels.iter().cloned().zip(p.probabilities.iter().map(|p| Json::from(*p))).collect();
            json!({ "text": text, "label": labels[p.label], "probability": p.probabilities[p.label], "probabilities": all })
        }
        None => json!({ "text": text, "label": null, "dropped": true }),
    }
}

/// How texts are read for a model.
struct Reader {
    model: Trained,
    tokenizer: Arc<Tokenization>,
    stages: Vec<Stage>,
    spec: DataSpec,
    batch: usize,
    recipe: Option<Recipe>,
}

impl Reader {
    fn open(given: &Path, base: Option<&Path>, console: &Console) -> Result<Self> {
        if given.is_file() {
            return Err(Diagnostic::new(format!("`{}` is a file, not a folder", given.display()))
                .help("give a run directory, or a model in Hugging Face layout"));
        }
        if !given.is_dir() {
            return Err(unreadable(given, &std::io::Error::from(std::io::ErrorKind::NotFound)));
        }
        match RunDir::open(given) {
            Ok(run) => Self::of_run(&run, base, console),
            Err(_) => Self::of_model(given, base, None),
        }
    }

    fn of_run(run: &RunDir, base: Option<&Path>, console: &Console) -> Result<Self> {
        let recipe = Recipe::load(&run.recipe())?;
        let mut reader = Self::of_model(&run.model(), base, Some(&recipe))?;
        let cache = machine::cache_directory();
        let roles = RunRoles::resolve(&recipe, cache.as_deref())?;
        let data = settings::data(&recipe, None);
        let lent: Arc<dyn Tokenizer> = Arc::new(LentTokenizer::new(reader.tokenizer.clone(), data.chat.as_ref()));
        for stage in roles.stages(&lent) {
            // One that compares rows, such as a search for duplicates, has no meaning for a single text.
            if !is_stateful(&stage)? {
                reader.stages.push(stage);
            }
        }
        reader.spec.max_length = data.max_length;
        reader.spec.seed = data.seed;
        reader.spec.columns.text = data.columns.text;
        reader.spec.columns.text_pair = data.columns.text_pair;
        (reader.spec.columns.tokens, reader.spec.columns.tags) = (data.columns.tokens, data.columns.tags);
        manifest::warn_of_changed_plugins(run, &roles.facts(), console)?;
        reader.batch = settings::size(recipe.evaluation.batch_size);
        reader.recipe = Some(recipe);
        Ok(reader)
    }

    fn of_model(model: &Path, base: Option<&Path>, recipe: Option<&Recipe>) -> Result<Self> {
        if !model.is_dir() {
            return Err(Diagnostic::new(format!("`{}` does not exist: the run has no result yet", model.display()))
                .help("`retune run --resume` goes on with it"));
        }
        let model = open_trained(model, base, recipe)?;
        let tokenizer =
            Tokenization::open(model.tokenizer()).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))?;
        let config = model.config().map_err(|e| Diagnostic::new(e.to_string()))?;
        let spec = DataSpec {
            max_length: config.shape.longest_row().min(tokenizer.model_max_length().unwrap_or(usize::MAX)).min(512),
            ..DataSpec::new(PathBuf::new(), TaskKind::SequenceClassification)
        };
        Ok(Self { model, tokenizer: Arc::new(tokenizer), stages: Vec::new(), spec, batch: 32, recipe: None })
    }

    /// Takes texts as words with spaces between them, or lists of words.
    fn reads_words(&mut self) {
        self.spec.task = TaskKind::TokenClassification;
        let columns = &mut self.spec.columns;
        (columns.label, columns.text_pair) = (None, None);
        columns.tags.get_or_insert_with(|| "tags".to_owned());
        columns.text = columns.tokens.get_or_insert_with(|| "tokens".to_owned()).clone();
    }

    /// One answer of `predict` per text, in order; none for a text that is dropped before the model. `key` is that of an answer.
    fn answers<A>(
        &self,
        asked: &[Asked],
        predict: impl Fn(&dyn Rows) -> std::result::Result<Vec<A>, TrainError>,
        key: impl Fn(&A) -> &String,
    ) -> Result<Vec<Option<A>>> {
        let cannot = |e: std::io::Error| Diagnostic::new("cannot write a temporary file").because(e);
        let folder = tempfile::tempdir().map_err(cannot)?;
        let path = folder.path().join("texts.jsonl");
        let fields = || asked.iter().map(|asked| asked.fields.as_ref());
        // Rows without a text are not asked about; the others keep their place.
        let places: Vec<usize> = fields().enumerate().filter_map(|(place, fields)| fields.map(|_| place)).collect();
        let rows: String = fields().flatten().map(|fields| format!("{}\n", Json::Object(fields.clone()))).collect();
        std::fs::write(&path, rows).map_err(cannot)?;
        let prepared =
            prepare_source(&self.spec, SplitName::Test, &path.into(), None, &self.stages, &self.tokenizer, &mut |_| {});
        let examples = match prepared {
            Ok((examples, _)) => examples,
            Err(retune_data::DataError::NothingLeft { .. }) => return Ok(asked.iter().map(|_| None).collect()),
            Err(e) => {
                return Err(match &self.recipe {
                    Some(recipe) => locate::data(recipe, e),
                    None => Diagnostic::new(e.to_string()).help_some(e.help()),
                });
            }
        };
        let mut answers: Vec<Option<A>> = asked.iter().map(|_| None).collect();
        for prediction in predict(&examples).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))? {
            // Keys end in the line of the row; a row that a preprocessor split keeps its first part's answer.
            let tail = key(&prediction).rsplit(':').next();
            let line = tail.and_then(|tail| tail.split(['#', '/']).next()?.parse::<usize>().ok());
            let place = line.and_then(|line| places.get(line.wrapping_sub(1)));
            if let Some(slot) = place.and_then(|place| answers.get_mut(*place)) {
                slot.get_or_insert(prediction);
            }
        }
        Ok(answers)
    }
}
