//! `retune predict`: labels for texts, with a trained classifier.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use retune_data::{DataSpec, SplitName, TaskKind, Tokenization, prepare_source};
use retune_roles::Stage;
use retune_tensor::device::DeviceChoice;
use retune_train::model::{Base, Model, Task, task_of_checkpoint};
use retune_train::{Prediction, predict};
use serde_json::{Map, Value as Json, json};

use crate::console::Console;
use crate::stdout;
use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result, unreadable};
use retune_run::Reporter;
use retune_run::machine;
use retune_run::roles::{RunRoles, is_stateful};
use retune_run::run_dir::RunDir;
use retune_run::{locate, manifest, settings};

/// Arguments of `retune predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run directory (its preprocessors apply, those that compare rows excepted), or a Hugging Face directory
    model: PathBuf,
    /// The texts [default: one per line of standard input]; of a model that reads pairs, two with a tab between
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    texts: Vec<String>,
    /// Read the texts from a file, one per line
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object per text, with the probability of every label
    #[arg(long)]
    json: bool,
    /// Where to compute: auto, cpu, cuda:0
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let texts = texts(args)?;
    let reader = Reader::open(&args.model)?;
    let device = args
        .device
        .resolve()
        .map_err(|e| Diagnostic::new(e.to_string()).help("`retune doctor` shows what this machine has"))?;
    let task = task_of_checkpoint(&reader.model)
        .map_err(|e| Diagnostic::new(e.to_string()).help("predict needs a classifier that has been trained"))?;
    let labels = match &task {
        Task::SequenceClassification { labels } => labels.clone(),
        Task::CausalLm => {
            return Err(Diagnostic::new("this model continues text, it does not put rows into classes")
                .help("use a model trained with task = \"sequence-classification\""));
        }
    };
    let (model, _) = Model::load(&Base::Directory(reader.model.clone()), &task, 0, &device)
        .map_err(|e| Diagnostic::new(e.to_string()))?;
    let answers = reader.answer(&model, &texts)?;
    for (text, answer) in texts.iter().zip(answers) {
        if args.json {
            stdout::line(as_json(text, answer.as_ref(), &labels).to_string());
        } else {
            match answer {
                Some(p) => stdout::line(format!("{:.4}  {}  {text}", p.probabilities[p.label], labels[p.label])),
                None => {
                    stdout::line(format!("     –  (dropped: a preprocessor refused it, or it has no token)  {text}"))
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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

fn texts(args: &Args) -> Result<Vec<String>> {
    if !args.texts.is_empty() {
        return Ok(args.texts.clone());
    }
    let text = match &args.file {
        Some(path) => std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))?,
        None => {
            let mut stdin = std::io::stdin();
            if stdin.is_terminal() {
                Console::new(false).line("reading texts from standard input, one per line; end with Ctrl-D");
            }
            let mut text = String::new();
            stdin.read_to_string(&mut text).map_err(|e| Diagnostic::new("cannot read standard input").because(e))?;
            text
        }
    };
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Diagnostic::new("there is no text to predict")
            .help("give it as an argument, by --file, or on standard input, one per line"));
    }
    Ok(lines)
}

/// How texts are read for a model.
struct Reader {
    model: PathBuf,
    tokenizer: Arc<Tokenization>,
    stages: Vec<Stage>,
    spec: DataSpec,
    batch: usize,
    recipe: Option<Recipe>,
}

impl Reader {
    fn open(given: &Path) -> Result<Self> {
        if given.is_file() {
            return Err(Diagnostic::new(format!("`{}` is a file, not a folder", given.display()))
                .help("give a run directory, or a model in Hugging Face layout"));
        }
        if !given.is_dir() {
            return Err(unreadable(given, &std::io::Error::from(std::io::ErrorKind::NotFound)));
        }
        match RunDir::open(given) {
            Ok(run) => Self::of_run(&run),
            Err(_) => Self::of_model(given.to_owned()),
        }
    }

    fn of_run(run: &RunDir) -> Result<Self> {
        let recipe = Recipe::load(&run.recipe())?;
        let mut reader = Self::of_model(run.model())?;
        let cache = machine::cache_directory();
        let roles = RunRoles::resolve(&recipe, cache.as_deref())?;
        for stage in roles.stages(&(reader.tokenizer.clone() as _)) {
            // One that compares rows, such as a search for duplicates, has no meaning for a single text.
            if !is_stateful(&stage)? {
                reader.stages.push(stage);
            }
        }
        let data = settings::data(&recipe, None);
        reader.spec.max_length = data.max_length;
        reader.spec.seed = data.seed;
        reader.spec.columns.text = data.columns.text;
        reader.spec.columns.text_pair = data.columns.text_pair;
        manifest::warn_of_changed_plugins(run, &roles.facts(), &Console::new(false))?;
        reader.batch = settings::size(recipe.evaluation.batch_size);
        reader.recipe = Some(recipe);
        Ok(reader)
    }

    fn of_model(model: PathBuf) -> Result<Self> {
        if !model.is_dir() {
            return Err(Diagnostic::new(format!("`{}` does not exist: the run has no result yet", model.display()))
                .help("`retune run --resume` goes on with it"));
        }
        let tokenizer = Tokenization::open(&model).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))?;
        let config = retune_train::model::ModelConfig::read(&model).map_err(|e| Diagnostic::new(e.to_string()))?;
        let spec = DataSpec {
            max_length: config.max_position_embeddings.min(tokenizer.model_max_length().unwrap_or(usize::MAX)).min(512),
            ..DataSpec::new(PathBuf::new(), TaskKind::SequenceClassification)
        };
        Ok(Self { model, tokenizer: Arc::new(tokenizer), stages: Vec::new(), spec, batch: 32, recipe: None })
    }

    /// A text in the columns of the data that the model learnt from.
    fn row(&self, text: &str) -> Result<Json> {
        let columns = &self.spec.columns;
        let Some(pair) = &columns.text_pair else { return Ok(json!({ columns.text.as_str(): text })) };
        match text.split_once('\t') {
            Some((first, second)) => Ok(json!({ columns.text.as_str(): first, pair.as_str(): second })),
            None => Err(Diagnostic::new(format!("this model reads pairs, and there is no tab in `{text}`"))
                .help(format!("write `{}` and `{pair}` with a tab between them", columns.text))),
        }
    }

    /// One answer per text, in order; none for a text that is dropped before the model.
    fn answer(&self, model: &Model, texts: &[String]) -> Result<Vec<Option<Prediction>>> {
        let cannot = |e: std::io::Error| Diagnostic::new("cannot write a temporary file").because(e);
        let folder = tempfile::tempdir().map_err(cannot)?;
        let path = folder.path().join("texts.jsonl");
        let rows = texts.iter().map(|text| Ok(format!("{}\n", self.row(text)?))).collect::<Result<String>>()?;
        std::fs::write(&path, rows).map_err(cannot)?;
        let prepared =
            prepare_source(&self.spec, SplitName::Test, &path.into(), None, &self.stages, &self.tokenizer, &mut |_| {});
        let examples = match prepared {
            Ok((examples, _)) => examples,
            Err(retune_data::DataError::NothingLeft { .. }) => Vec::new(),
            Err(e) => {
                return Err(match &self.recipe {
                    Some(recipe) => locate::data(recipe, e),
                    None => Diagnostic::new(e.to_string()).help_some(e.help()),
                });
            }
        };
        let mut answers: Vec<Option<Prediction>> = texts.iter().map(|_| None).collect();
        for prediction in
            predict(model, &examples, self.batch).map_err(|e| Diagnostic::new(e.to_string()).help_some(e.help()))?
        {
            // Keys end in the line of the row; a row that a preprocessor split keeps its first part's answer.
            let line =
                prediction.key.rsplit(':').next().and_then(|tail| tail.split(['#', '/']).next()?.parse::<usize>().ok());
            if let Some(slot) = line.and_then(|line| answers.get_mut(line.wrapping_sub(1))) {
                slot.get_or_insert(prediction);
            }
        }
        Ok(answers)
    }
}
