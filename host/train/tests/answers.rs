//! Metrics that read what the model writes, during training and after it, with an author of answers who needs no model.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod support;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use retune_roles::builtin::{CrossEntropy, Perplexity, metric};
use retune_roles::{
    Batch, Encoding, Example, InputSpec, Message, Metric, Reads, Refusal, Sequence, Target, TaskKind, TextExample,
    Tokenizer, ValueSpec,
};
use retune_train::generation::GenerationSpec;
use retune_train::model::Model;
use retune_train::{
    Asking, Best, EarlyStopping, EvaluationSpec, Every, Generated, HeldOut, Roles, Silent, TrainError, TrainEvent,
    Trainer, Writer, evaluate,
};
use support::*;

/// The token that ends an answer, and is no text.
const END: u32 = 2;

/// `7` is the word ` w7`; [`END`] is special.
struct Words;

impl Tokenizer for Words {
    fn name(&self) -> &str {
        "words"
    }
    fn vocab_size(&self) -> u32 {
        60
    }
    fn token_id(&self, _: &str) -> Option<u32> {
        None
    }
    fn token_text(&self, id: u32) -> Option<String> {
        Some(format!(" w{id}"))
    }
    fn bos(&self) -> Option<u32> {
        None
    }
    fn eos(&self) -> Option<u32> {
        None
    }
    fn pad(&self) -> Option<u32> {
        None
    }
    fn encode(&self, _: &[String], _: bool) -> Result<Vec<Encoding>, Refusal> {
        Ok(Vec::new())
    }
    fn decode(&self, ids: &[Vec<u32>], skip_special: bool) -> Result<Vec<String>, Refusal> {
        let word = |id: &u32| if *id == END { "</s>".to_owned() } else { format!(" w{id}") };
        let text = |ids: &Vec<u32>| ids.iter().filter(|id| !(skip_special && **id == END)).map(word).collect();
        Ok(ids.iter().map(text).collect())
    }
    fn apply_chat_template(&self, _: &[Message], _: bool) -> Result<(Encoding, Vec<bool>), Refusal> {
        Ok(Default::default())
    }
}

/// What a writer was called with: prompts, number of the first, end tokens.
type Call = (Vec<Vec<u32>>, usize, Vec<u32>);

/// Answers each prompt with its last token and an end; a prompt that ends with 9, wrongly.
#[derive(Default)]
struct Echo {
    calls: Mutex<Vec<Call>>,
}

impl Writer for Echo {
    fn write(
        &self,
        _: &Model,
        prompts: &[Vec<u32>],
        first: usize,
        ends: &[u32],
        written: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<Vec<u32>>, TrainError> {
        self.calls.lock().unwrap().push((prompts.to_vec(), first, ends.to_vec()));
        for _ in prompts {
            if written().is_break() {
                break;
            }
        }
        Ok(prompts
            .iter()
            .map(|prompt| vec![*prompt.last().unwrap() + u32::from(prompt.last() == Some(&9)), END])
            .collect())
    }
}

/// Keeps what it was given.
struct Keeps {
    seen: Arc<Mutex<Vec<TextExample>>>,
    value: [ValueSpec; 1],
}

impl Metric for Keeps {
    fn name(&self) -> &str {
        "keeps"
    }
    fn describe(&self) -> &[ValueSpec] {
        &self.value
    }
    fn reads(&self) -> Reads {
        Reads::TEXTS
    }
    fn wants(&self) -> &[InputSpec] {
        &[]
    }
    fn update(&mut self, _: &Batch) -> retune_roles::Result<()> {
        panic!("it reads texts alone")
    }
    fn update_texts(&mut self, texts: &[TextExample]) -> retune_roles::Result<()> {
        self.seen.lock().unwrap().extend_from_slice(texts);
        Ok(())
    }
    fn snapshot(&mut self) -> retune_roles::Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn merge(&mut self, _: &[u8]) -> retune_roles::Result<()> {
        Ok(())
    }
    fn compute(&mut self) -> retune_roles::Result<Vec<(String, f64)>> {
        Ok(vec![("seen".into(), self.seen.lock().unwrap().len() as f64)])
    }
    fn reset(&mut self) -> retune_roles::Result<()> {
        self.seen.lock().unwrap().clear();
        Ok(())
    }
}

fn keeps() -> (Box<dyn Metric>, Arc<Mutex<Vec<TextExample>>>) {
    let seen = Arc::default();
    let value = [ValueSpec { name: "seen".into(), unit: None, higher_is_better: true }];
    (Box::new(Keeps { seen: Arc::clone(&seen), value }), seen)
}

/// A question of two tokens and an answer, which is the second of them.
fn question(row: usize) -> Example {
    let asked = 3 + (row % 50) as u32;
    let sequence =
        Sequence { ids: vec![1, asked, asked, END], segments: Vec::new(), learnt: std::iter::once(2..4).collect() };
    Example { extra: vec![row as f32 / 2.0], ..Example::new(format!("dev.jsonl:{row}"), sequence, Target::None) }
}

fn questions(count: usize) -> Vec<Example> {
    (0..count).map(question).collect()
}

fn asking(rows: usize) -> (Asking, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let writer: Arc<dyn Writer> = echo.clone();
    (Asking { writer, tokenizer: Arc::new(Words), rows, seed: 5, stop_strings: Vec::new() }, echo)
}

fn exact_match() -> Box<dyn Metric> {
    metric("exact-match", &serde_json::Value::Null, TaskKind::CausalLm).unwrap()
}

#[test]
fn a_metric_gets_prompt_answer_reference_and_columns_of_the_rows_that_are_asked() {
    let (rows, columns) = (questions(200), ["score".to_owned()]);
    let (asking, echo) = asking(130);
    let (keeps, seen) = keeps();
    let mut metrics = [keeps, exact_match(), Box::new(Perplexity::new())];
    let mut loss = CrossEntropy::for_tokens();
    let held_out = HeldOut { rows: &rows, columns: &columns, batch_size: 8, asking: Some(&asking) };
    let found = evaluate(&llama(), &held_out, &mut loss, &mut metrics, &mut Silent).unwrap();
    let seen = seen.lock().unwrap();
    let numbers: Vec<usize> =
        seen.iter().map(|text| text.key.trim_start_matches("dev.jsonl:").parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]) && numbers.len() == 130, "{numbers:?}");
    assert!(numbers.iter().any(|row| *row >= 130), "they are drawn, not the first");
    for (text, row) in seen.iter().zip(&numbers) {
        let asked = 3 + row % 50;
        assert_eq!(
            (text.prompt.clone(), text.references.clone()),
            (format!(" w1 w{asked}"), vec![format!("w{asked}")])
        );
        let wrong = usize::from(asked == 9);
        assert_eq!(
            (text.prediction.clone(), text.extra.clone()),
            (format!("w{}", asked + wrong), format!("{{\"score\":{:?}}}", *row as f32 / 2.0))
        );
    }
    let right = numbers.iter().filter(|row| 3 + **row % 50 != 9).count();
    assert_eq!(found.get("exact_match"), Some(right as f64 / 130.0));
    assert_eq!((found.get("seen"), found.rows), (Some(130.0), 200), "all rows have a loss");
    assert!(found.get("perplexity").unwrap().is_finite());
    assert_eq!(found.answers.len(), 8);
    assert_eq!(
        (&found.answers[0].prediction, &found.answers[0].reference),
        (&seen[0].prediction, &seen[0].references[0])
    );

    // In pieces, each with the number of its first row, and all with the token that ends the references.
    let calls = echo.calls.lock().unwrap();
    let told: Vec<(usize, usize, &[u32])> =
        calls.iter().map(|(prompts, first, ends)| (prompts.len(), *first, &ends[..])).collect();
    assert_eq!(told, [(64, 0, &[END][..]), (64, 64, &[END]), (2, 128, &[END])]);
}

#[test]
fn a_stop_string_ends_an_answer_and_is_no_part_of_what_is_compared() {
    let (model, rows, columns) = (llama(), questions(6), ["score".to_owned()]);
    let answers = |stop_strings: Vec<String>| {
        let spec =
            GenerationSpec { max_new_tokens: 8, stop_strings: stop_strings.clone(), ..GenerationSpec::default() };
        let tokenizer: Arc<dyn Tokenizer> = Arc::new(Words);
        let writer = Arc::new(Generated { spec, batch_size: 4, tokenizer: Some(Arc::clone(&tokenizer)) });
        let asking = Asking { writer, tokenizer, rows: 6, seed: 5, stop_strings };
        let (keeps, seen) = keeps();
        let loss = &mut CrossEntropy::for_tokens();
        let held_out = HeldOut { rows: &rows, columns: &columns, batch_size: 8, asking: Some(&asking) };
        evaluate(&model, &held_out, loss, &mut [keeps], &mut Silent).unwrap();
        let seen = seen.lock().unwrap();
        seen.iter().map(|text| text.prediction.clone()).collect::<Vec<String>>()
    };
    let free = answers(Vec::new());
    let word = free[0].split(' ').nth(3).unwrap().to_owned();
    // The whole word, which another one may begin with.
    let stopped = answers(vec![format!("{word} ")]);
    for (free, stopped) in free.iter().zip(&stopped) {
        let expected = format!("{free} ").split_once(&format!("{word} ")).map(|(before, _)| before.trim().to_owned());
        assert_eq!(*stopped, expected.filter(|_| free.contains(&format!("{word} "))).unwrap_or(free.clone()), "{word}");
    }
    assert!(stopped[0].len() < free[0].len());
}

#[test]
fn fewer_rows_than_are_asked_for_are_all_asked() {
    let (asking, echo) = asking(100);
    let mut loss = CrossEntropy::for_tokens();
    let metrics = &mut [exact_match()];
    let columns = ["score".to_owned()];
    let held_out = HeldOut { rows: &questions(5), columns: &columns, batch_size: 8, asking: Some(&asking) };
    evaluate(&llama(), &held_out, &mut loss, metrics, &mut Silent).unwrap();
    assert_eq!(echo.calls.lock().unwrap()[0].0.len(), 5);
}

#[test]
fn nothing_is_generated_that_no_metric_reads() {
    let (asking, echo) = asking(100);
    let mut loss = CrossEntropy::for_tokens();
    let metrics: &mut [Box<dyn Metric>] = &mut [Box::new(Perplexity::new())];
    let columns = ["score".to_owned()];
    let held_out = HeldOut { rows: &questions(5), columns: &columns, batch_size: 8, asking: Some(&asking) };
    let found = evaluate(&llama(), &held_out, &mut loss, metrics, &mut Silent);
    assert_eq!((found.unwrap().answers.len(), echo.calls.lock().unwrap().len()), (0, 0));
}

#[test]
fn a_metric_of_texts_alone_is_refused_where_nothing_is_generated() {
    let mut loss = CrossEntropy::for_tokens();
    let columns = ["score".to_owned()];
    let told = |error: TrainError| format!("{error}; {}", error.help().unwrap());
    let held_out = HeldOut { rows: &questions(2), columns: &columns, batch_size: 8, asking: None };
    let refused = evaluate(&llama(), &held_out, &mut loss, &mut [exact_match()], &mut Silent);
    let directory = tempfile::tempdir().unwrap();
    let roles = Roles { metrics: vec![exact_match()], ..Roles::new(Box::new(CrossEntropy::for_tokens())) };
    let spec = retune_train::TrainSpec { columns: columns.to_vec(), ..spec(directory.path()) };
    let before = Trainer::new(llama(), spec, roles, &questions(4), &questions(2)).err().unwrap();
    for error in [refused.unwrap_err(), before] {
        assert_eq!(
            told(error),
            "evaluation.metrics: metric exact-match reads what the model writes, and this evaluation generates nothing; write \
             generate = { max_new_tokens = 256, rows = 100 } in [evaluation], or leave the metric out"
        );
    }
}

#[test]
fn rows_that_ask_nothing_are_refused_before_the_first_step() {
    let directory = tempfile::tempdir().unwrap();
    let texts = [Example::new("dev.txt:4", Sequence::text(vec![5, 6, 7]), Target::None)];
    let (asking, _) = asking(10);
    let roles = Roles {
        metrics: vec![exact_match()],
        asking: Some(asking),
        ..Roles::new(Box::new(CrossEntropy::for_tokens()))
    };
    let error = Trainer::new(llama(), spec(directory.path()), roles, &texts, &texts).err().unwrap();
    assert_eq!(error.to_string(), "row dev.txt:4 asks nothing: no token stands before what is learnt of it");
}

#[test]
fn values_of_texts_choose_the_best_weights_stop_the_run_and_are_told_with_answers() {
    let directory = tempfile::tempdir().unwrap();
    let (asking, _) = asking(10);
    let roles = Roles {
        metrics: vec![exact_match()],
        asking: Some(asking),
        ..Roles::new(Box::new(CrossEntropy::for_tokens()))
    };
    let spec = retune_train::TrainSpec {
        epochs: 50,
        columns: vec!["score".into()],
        evaluation: EvaluationSpec {
            every: Every::Steps(1),
            best: Some(Best { metric: "exact_match".into(), mode: None }),
            early_stopping: Some(EarlyStopping { patience: 2, min_delta: 0.0 }),
            ..EvaluationSpec::default()
        },
        ..spec(directory.path())
    };
    let (outcome, recorder) = train(llama(), spec, roles, &questions(16), &questions(12));
    let outcome = outcome.unwrap();
    assert_eq!((outcome.ended.as_str(), outcome.steps), ("early_stop", 3), "answers that stay the same are no better");
    assert_eq!(outcome.best.map(|(step, _)| step), Some(1));
    let answers = recorder.events.iter().filter_map(|event| match event {
        TrainEvent::Answers { step, answers } => Some((*step, answers.len())),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [(1, 8), (2, 8), (3, 8)]);
    let progress =
        |event: &&TrainEvent| matches!(event, TrainEvent::Progress { stage, total: 10, .. } if stage == "generate");
    assert_eq!(recorder.events.iter().filter(progress).count(), 30);
    // As the event log has them, they read back as themselves.
    let line = serde_json::to_string(recorder.events.iter().find(|e| matches!(e, TrainEvent::Answers { .. })).unwrap())
        .unwrap();
    assert!(recorder.events.contains(&serde_json::from_str(&line).unwrap()), "{line}");
}

#[test]
fn a_stop_between_two_answers_ends_the_evaluation() {
    let (asking, _) = asking(10);
    let mut loss = CrossEntropy::for_tokens();
    let columns = ["score".to_owned()];
    let mut answered = 0;
    let mut observer = |event: &TrainEvent| {
        answered += usize::from(matches!(event, TrainEvent::Progress { stage, .. } if stage == "generate"));
        if answered == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let held_out = HeldOut { rows: &questions(20), columns: &columns, batch_size: 8, asking: Some(&asking) };
    let stopped = evaluate(&llama(), &held_out, &mut loss, &mut [exact_match()], &mut observer);
    assert!(matches!(stopped, Err(TrainError::Stopped { .. })));
    assert_eq!(answered, 3);
}
