use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use retune_roles::{
    BatchResult, Failure, Output, Preprocessor, PreprocessorContract, Rejection, RoleKind, Sample, Value,
};

use super::*;

type Process = fn(&Sample, &mut BatchResult, u32);

/// A stage made of a function over one sample.
struct Each {
    contract: PreprocessorContract,
    process: Process,
}

impl Preprocessor for Each {
    fn name(&self) -> &str {
        "each"
    }
    fn describe(&self) -> &PreprocessorContract {
        &self.contract
    }
    fn process(&mut self, batch: &[Sample]) -> retune_roles::Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, sample) in batch.iter().enumerate() {
            (self.process)(sample, &mut result, source as u32);
        }
        Ok(result)
    }
    fn finish(&mut self) -> retune_roles::Result<Vec<Output>> {
        Err(Failure::new("each", RoleKind::Preprocessor, "finish", "a stateless stage is never finished"))
    }
}

/// Joins texts two by two, across batches.
struct Pairs {
    contract: PreprocessorContract,
    held: Option<String>,
}

impl Preprocessor for Pairs {
    fn name(&self) -> &str {
        "pairs"
    }
    fn describe(&self) -> &PreprocessorContract {
        &self.contract
    }
    fn process(&mut self, batch: &[Sample]) -> retune_roles::Result<BatchResult> {
        let mut result = BatchResult::default();
        for (source, sample) in batch.iter().enumerate() {
            let text = text_of(sample);
            match self.held.take() {
                None => self.held = Some(text),
                Some(first) => result.outputs.push(Output {
                    source: source as u32,
                    fields: vec![("text".to_owned(), Value::Text(format!("{first}+{text}")))],
                }),
            }
        }
        Ok(result)
    }
    fn finish(&mut self) -> retune_roles::Result<Vec<Output>> {
        let rest =
            self.held.take().map(|text| Output { source: 0, fields: vec![("text".to_owned(), Value::Text(text))] });
        Ok(rest.into_iter().collect())
    }
}

fn text_of(sample: &Sample) -> String {
    sample.fields.iter().find(|(name, _)| name == "text").unwrap().1.as_text().unwrap().to_owned()
}

fn contract(stateful: bool) -> PreprocessorContract {
    PreprocessorContract { reads: vec!["text".to_owned()], writes: vec!["text".to_owned()], stateful, cacheable: true }
}

fn each(name: &str, process: Process) -> Stage {
    Stage {
        name: name.to_owned(),
        fingerprint: name.to_owned(),
        make: Box::new(move || Ok(Box::new(Each { contract: contract(false), process }))),
    }
}

fn pairs() -> Stage {
    Stage {
        name: "pairs".to_owned(),
        fingerprint: "pairs".to_owned(),
        make: Box::new(|| Ok(Box::new(Pairs { contract: contract(true), held: None }))),
    }
}

/// Splits at spaces, drops texts by their seed, rejects texts with a digit.
fn mixed() -> Vec<Stage> {
    vec![
        each("words", |sample, result, source| {
            for word in text_of(sample).split(' ').rev() {
                result.outputs.push(Output { source, fields: vec![("text".to_owned(), Value::Text(word.to_owned()))] });
            }
        }),
        each("chance", |sample, result, source| {
            if sample.seed % 3 != 0 {
                result.outputs.push(Output { source, fields: sample.fields.clone() });
            }
        }),
        each("digits", |sample, result, source| {
            if text_of(sample).contains(|c: char| c.is_ascii_digit()) {
                result.rejected.push(Rejection { source, reason: "digit".to_owned() });
            } else {
                result.outputs.push(Output { source, fields: sample.fields.clone() });
            }
        }),
        pairs(),
    ]
}

fn records(texts: &[String]) -> Vec<Record> {
    let record = |(i, text): (usize, &String)| {
        Record::new("t.csv", i as u64 + 2, vec![("text".to_owned(), Value::Text(text.clone()))])
    };
    texts.iter().enumerate().map(record).collect()
}

fn through(
    stages: &[Stage],
    texts: &[String],
    window: usize,
    batch: usize,
    threads: usize,
) -> Result<(Vec<Record>, Vec<Dropped>, u64)> {
    let mut pipeline = Pipeline::new(stages, 5, batch)?;
    let all = records(texts);
    let mut windows: Vec<Chunk<Vec<Record>>> = all.chunks(window).map(|rows| Chunk::new(rows.to_vec())).collect();
    windows.push(Chunk { last: true, ..Chunk::new(Vec::new()) });
    let mut windows = windows.into_iter();
    let mut out = Vec::new();
    pipeline.run(threads, move || windows.next().map(Ok), &Ok, &mut |chunk| {
        out.extend(chunk.done.unwrap());
        Ok(())
    })?;
    Ok((out, pipeline.dropped(), pipeline.added()))
}

fn run(
    stages: &[Stage],
    texts: &[String],
    window: usize,
    batch: usize,
    threads: usize,
) -> (Vec<Record>, Vec<Dropped>, u64) {
    through(stages, texts, window, batch, threads).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_result_depends_on_neither_workers_nor_batches_nor_windows_and_accounts_for_every_row(
        texts in prop::collection::vec("[a-c1]{0,3}( [a-c1]{1,3}){0,2}", 0..60),
        window in 1usize..40,
        batch in 1usize..20,
        threads in 1usize..5,
    ) {
        let stages = mixed();
        let expected = run(&stages, &texts, 1000, 1000, 1);
        let got = run(&stages, &texts, window, batch, threads);
        prop_assert_eq!(&got, &expected);
        let (out, dropped, added) = got;
        let gone: u64 = dropped.iter().map(|d| d.count).sum();
        prop_assert_eq!(texts.len() as u64 + added, gone + out.len() as u64, "read + added = dropped + kept");
        let mut keys: Vec<&str> = out.iter().map(|record| record.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        prop_assert_eq!(keys.len(), out.len(), "keys are unique");
    }
}

#[test]
fn a_stateless_stage_gets_at_most_one_instance_a_thread_and_only_when_there_is_work_for_it() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let stage = Stage {
        name: "counted".to_owned(),
        fingerprint: String::new(),
        make: Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let process: Process = |sample, result, source| {
                result.outputs.push(Output { source, fields: sample.fields.clone() });
            };
            Ok(Box::new(Each { contract: contract(false), process }))
        }),
    };
    let stages = [stage];
    let texts: Vec<String> = (0..64).map(|i| format!("{i}")).collect();
    run(&stages, &texts[..4], 64, 8, 4);
    assert_eq!(made.swap(0, Ordering::Relaxed), 1, "one batch needs one instance");
    run(&stages, &texts, 64, 8, 4);
    assert!(made.load(Ordering::Relaxed) <= 4);
}

#[test]
fn a_stage_that_reads_what_is_not_there_is_refused_before_the_first_row() {
    let stages = mixed();
    let pipeline = Pipeline::new(&stages, 0, 8).unwrap();
    let error = pipeline.check(&["texts".to_owned(), "label".to_owned()], "t.csv").unwrap_err();
    insta::assert_snapshot!(error, @"preprocessor words reads the field `text`, which the rows of t.csv do not have at that point; did you mean `texts`?");
    assert_eq!(pipeline.check(&["text".to_owned()], "t.csv").unwrap(), ["text"]);
}

#[test]
fn a_failure_names_the_rows_of_its_batch() {
    struct Failing(PreprocessorContract);
    impl Preprocessor for Failing {
        fn name(&self) -> &str {
            "failing"
        }
        fn describe(&self) -> &PreprocessorContract {
            &self.0
        }
        fn process(&mut self, _: &[Sample]) -> retune_roles::Result<BatchResult> {
            Err(Failure::new("failing", RoleKind::Preprocessor, "process", "it cannot"))
        }
        fn finish(&mut self) -> retune_roles::Result<Vec<Output>> {
            Ok(Vec::new())
        }
    }
    let stages = [Stage {
        name: "failing".to_owned(),
        fingerprint: String::new(),
        make: Box::new(|| Ok(Box::new(Failing(contract(false))))),
    }];
    let texts: Vec<String> = (0..9).map(|i| format!("{i}")).collect();
    let error = through(&stages, &texts, 4, 2, 3).unwrap_err();
    insta::assert_snapshot!(error, @"preprocessor failing failed in `process` at samples t.csv:2 to t.csv:3: it cannot");
}
