//! Labels of words and hidden tokens: heads of other tasks, refusals, rows that are drawn anew, and a run that goes on.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use retune_roles::builtin::{CrossEntropy, Perplexity};
use retune_roles::{Example, Rows, Sequence, Target, Task, TaskKind};
use retune_tensor::Device;
use retune_train::model::{Base, LoadReport, Model, ModelError, check_files};
use retune_train::{Roles, TrainError, Trainer, predict_tags};
use support::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn load(name: &str, task: &Task) -> Result<(Model, LoadReport), ModelError> {
    let base = Base::Directory(fixture(name));
    if let Base::Directory(directory) = &base {
        check_files(directory, task.kind(), None)?;
    }
    Model::load(&base, task, 1, &Device::flex())
}

fn tags(count: usize) -> Task {
    TaskKind::TokenClassification.with_labels((0..count).map(|i| format!("LABEL_{i}")).collect())
}

fn new_of(report: &LoadReport) -> Vec<&str> {
    report.new.iter().map(String::as_str).collect()
}

#[test]
fn a_base_of_another_task_gives_what_it_has_and_the_rest_of_the_head_is_new() {
    let (_, report) = load("bert-tiny", &Task::MaskedLm).unwrap();
    assert_eq!(
        new_of(&report),
        [
            "cls.predictions.transform.dense.weight",
            "cls.predictions.transform.dense.bias",
            "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.LayerNorm.bias",
            "cls.predictions.bias"
        ]
    );
    // As many classes, but of rows: transformers would take the numbers for those of words.
    let (_, report) = load("bert-tiny", &tags(5)).unwrap();
    let replaced: Vec<&str> = report.replaced.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(replaced, ["classifier.weight", "classifier.bias"]);
    assert_eq!(report.replaced[0].1, "the checkpoint's head is that of BertForSequenceClassification");
    let (_, report) = load("token-tasks/bert-masked", &tags(3)).unwrap();
    assert_eq!(new_of(&report), ["classifier.weight", "classifier.bias"]);
    assert!(report.unused.contains(&"cls.predictions.bias".to_owned()));
    // ModernBERT's heads share their first half.
    let (_, report) = load("token-tasks/modernbert-masked", &tags(3)).unwrap();
    assert_eq!(new_of(&report), ["classifier.weight", "classifier.bias"]);
    let (_, report) = load("token-tasks/modernbert-tags", &Task::MaskedLm).unwrap();
    assert_eq!(new_of(&report), ["decoder.bias"]);
    let (_, report) = load("token-tasks/roberta-tags", &Task::MaskedLm).unwrap();
    assert_eq!(report.new.len(), 5, "{:?}", report.new);
}

#[test]
fn an_export_of_either_task_is_read_again_with_nothing_new() {
    for (name, task) in [("bert-tiny", Task::MaskedLm), ("bert-tiny", tags(4)), ("llama-tiny", tags(4))] {
        let (model, _) = load(name, &task).unwrap();
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("model");
        model.export(&directory, None).unwrap();
        let again = retune_train::model::task_of_checkpoint(&directory).unwrap();
        assert_eq!(again, task);
        let (read, report) = Model::load(&Base::Directory(directory), &again, 2, &Device::flex()).unwrap();
        assert!(report.new.is_empty() && report.unused.is_empty() && report.replaced.is_empty(), "{report:?}");
        assert_eq!(bytes(&read), bytes(&model), "{name}");
    }
}

#[test]
fn a_family_that_cannot_is_refused_with_those_that_can() {
    let refused = |name: &str, task: &Task| {
        let error = load(name, task).unwrap_err().to_string();
        error.split_once("`model_type`: ").unwrap().1.to_owned()
    };
    assert_eq!(
        refused("llama-tiny", &Task::MaskedLm),
        "a Llama model sees only what is before a token, so it cannot do masked language modelling; use one of `bert`, \
         `distilbert`, `modernbert`, `roberta`, `xlm-roberta`, or task = \"causal-lm\""
    );
    assert_eq!(
        refused("families/olmo2", &tags(3)),
        "transformers has no class of Olmo2 models that labels words, so that nothing could load the result; use one of `bert`, \
         `distilbert`, `gemma2`, `gpt2`, `llama`, `mistral`, `modernbert`, `phi3`, `qwen2`, `qwen3`, `roberta`, `smollm3`, \
         `xlm-roberta`"
    );
    assert!(load("bert-tiny", &tags(1)).is_err());
}

#[test]
fn the_families_that_a_refusal_names_are_those_with_a_fixture() {
    let listed = |task: &Task, of: &str| {
        let error = load(of, task).unwrap_err().to_string();
        let names = error.split_once("use one of `").unwrap().1;
        names.split('`').step_by(2).map(str::to_owned).filter(|name| !name.contains(' ')).collect::<Vec<_>>()
    };
    let (can_tag, can_fill) = (listed(&tags(3), "families/gemma3"), listed(&Task::MaskedLm, "llama-tiny"));
    for entry in std::fs::read_dir(fixture("token-tasks")).unwrap() {
        let config = std::fs::read_to_string(entry.unwrap().path().join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        let (family, class) = (config["model_type"].as_str().unwrap(), config["architectures"][0].as_str().unwrap());
        let list = if class.ends_with("MaskedLM") { &can_fill } else { &can_tag };
        assert!(list.iter().any(|name| name == family), "{family} of {class} in {list:?}");
    }
}

/// Rows of which other tokens are hidden in every epoch.
struct Drawn(Vec<Example>);

impl Drawn {
    fn new(count: usize) -> Self {
        let row = |row: usize| {
            let ids = (0..5 + row % 7).map(|at| 3 + (7 * row + 11 * at) as u32 % 30).collect();
            Example::new(format!("t:{row}"), Sequence::of(ids), Target::None)
        };
        Self((0..count).map(row).collect())
    }

    fn at(&self, row: usize, epoch: u32) -> Example {
        let mut example = self.0[row].clone();
        let hidden = |at: usize| (at + row + epoch as usize).is_multiple_of(3);
        let ids = &mut example.sequences[0].ids;
        let labels = ids.iter().enumerate().map(|(at, id)| if hidden(at) { *id as i32 } else { -100 }).collect();
        ids.iter_mut().enumerate().filter(|(at, _)| hidden(*at)).for_each(|(_, id)| *id = 2);
        example.target = Target::Labels(labels);
        example
    }
}

impl Rows for Drawn {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn length(&self, row: usize) -> usize {
        self.0[row].tokens()
    }
    fn get(&self, row: usize) -> Cow<'_, Example> {
        Cow::Owned(self.at(row, 0))
    }
    fn in_epoch(&self, row: usize, epoch: u32) -> Cow<'_, Example> {
        Cow::Owned(self.at(row, epoch + 1))
    }
}

fn unmasker() -> Model {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("config.json");
    std::fs::write(&path, bert_config(0.1)).unwrap();
    Model::load(&Base::Config(path), &Task::MaskedLm, 3, &Device::flex()).unwrap().0
}

fn unmask(
    directory: &Path,
    rows: &Drawn,
    batch: usize,
    stop_after: Option<usize>,
) -> Result<Vec<(String, [u8; 32])>, TrainError> {
    let roles = Roles {
        metrics: vec![Box::new(Perplexity::new())],
        ..Roles::new(Box::new(CrossEntropy::new(TaskKind::MaskedLm)))
    };
    let mut spec = spec(directory);
    (spec.epochs, spec.batch_size, spec.gradient_accumulation_steps) = (3, batch, 8 / batch);
    spec.checkpoint.every_steps = Some(2);
    let mut recorder = Recorder { stop_after, ..Recorder::default() };
    let mut trainer = Trainer::new(unmasker(), spec, roles, rows, rows).unwrap();
    trainer.resume().unwrap();
    trainer.run(&mut recorder).map(|outcome| bytes(&outcome.model))
}

#[test]
fn a_run_over_hidden_tokens_that_is_killed_ends_with_the_same_bytes() {
    let rows = Drawn::new(21);
    let place = tempfile::tempdir().unwrap();
    let whole = unmask(place.path(), &rows, 4, None).unwrap();
    let mut draw = Draw(5);
    for _ in 0..10 {
        let place = tempfile::tempdir().unwrap();
        let kill = 2 + draw.below(14) as usize;
        assert!(matches!(unmask(place.path(), &rows, 4, Some(kill)), Err(TrainError::Stopped { .. })));
        assert_eq!(unmask(place.path(), &rows, 4, None).unwrap(), whole, "killed after event {kill}");
    }
}

#[test]
fn rows_are_learnt_as_they_are_in_the_epoch() {
    struct Still(Drawn);
    impl Rows for Still {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn length(&self, row: usize) -> usize {
            self.0.length(row)
        }
        fn get(&self, row: usize) -> Cow<'_, Example> {
            self.0.get(row)
        }
    }
    let place = tempfile::tempdir().unwrap();
    let drawn = unmask(place.path(), &Drawn::new(21), 4, None).unwrap();
    let still = Still(Drawn::new(21));
    let place = tempfile::tempdir().unwrap();
    let mut spec = spec(place.path());
    (spec.epochs, spec.batch_size, spec.gradient_accumulation_steps) = (3, 4, 2);
    let trainer =
        Trainer::new(unmasker(), spec, Roles::new(Box::new(CrossEntropy::new(TaskKind::MaskedLm))), &still, &still)
            .unwrap();
    assert_ne!(
        bytes(&trainer.run(&mut Recorder::default()).unwrap().model),
        drawn,
        "other tokens are hidden in every epoch"
    );
}

#[test]
fn words_are_answered_at_the_tokens_that_begin_them_whatever_the_batch() {
    let (model, _) = load("bert-tiny", &tags(4)).unwrap();
    let row = |row: u32, words: &[i32]| {
        let ids = (0..words.len() as u32).map(|at| 3 + row + at).collect();
        Example::new(format!("t:{row}"), Sequence::of(ids), Target::Labels(words.to_vec()))
    };
    let rows = vec![row(1, &[-100, 0, -100, 1, -100]), row(2, &[-100, 0, 2, -100]), row(3, &[-100, -100])];
    let together = predict_tags(&model, &rows, 8).unwrap();
    let words: Vec<Vec<usize>> = together.iter().map(|row| row.words.iter().map(|word| word.word).collect()).collect();
    assert_eq!(words, [vec![0, 1], vec![0, 2], vec![]]);
    let alone = predict_tags(&model, &rows, 1).unwrap();
    for (one, other) in together.iter().zip(&alone) {
        for (one, other) in one.words.iter().zip(&other.words) {
            assert_eq!((one.word, one.label), (other.word, other.label));
            assert!((one.probability - other.probability).abs() < 1e-5 && one.probability > 0.25);
        }
    }
    let (other, _) = load("bert-tiny", &Task::MaskedLm).unwrap();
    let error = predict_tags(&other, &rows, 8).unwrap_err();
    assert_eq!(error.to_string(), "this model was made for masked-lm, and token-classification is asked of it");
}
