//! The preprocessors of a run, one after another, and what comes after them.
//!
//! Rows go through in chunks of a fixed number of rows of the file. Stateless stages take chunks on any thread; a
//! stateful one takes them in order. What comes out depends on nothing but the rows, so the number of threads never
//! shows. Before the first row, the contracts are checked against the columns: a field that a stage reads must be in
//! the file or promised by a stage before it.

use std::sync::{Mutex, PoisonError};

use retune_roles::{Preprocessor, Stage};

use crate::parallel::{self, Step};
use crate::record::Record;
use crate::report::Dropped;
use crate::stage::{Drops, Runner, Settled};
use crate::{DataError, Result};

/// Stages ready to run over one file.
pub(crate) struct Pipeline<'a> {
    runners: Vec<Runner<'a>>,
    firsts: Vec<Option<Box<dyn Preprocessor>>>,
    drops: Vec<Drops>,
    added: u64,
}

/// Rows of a file on their way, and what was made of them.
pub(crate) struct Chunk<R> {
    /// The rows, until they are made into `done`.
    pub records: Vec<Record>,
    /// The last one of the file, after which stateful stages hand over what they hold.
    pub last: bool,
    /// Rows read for it.
    pub read: u64,
    /// Of these, rows left out by `limit_per_label`.
    pub limited: u64,
    /// Bytes of the file read up to its end.
    pub bytes: u64,
    /// What the end of the way made of the rows.
    pub done: Option<R>,
    /// What stages dropped and added: the stage's number, and its account.
    went: Vec<(usize, Settled)>,
}

impl<R> Chunk<R> {
    /// Rows before the first stage.
    pub fn new(records: Vec<Record>) -> Self {
        Self { records, last: false, read: 0, limited: 0, bytes: 0, done: None, went: Vec::new() }
    }

    fn after(&mut self, stage: usize, mut settled: Settled) {
        self.records.append(&mut settled.records);
        self.went.push((stage, settled));
    }
}

impl<'a> Pipeline<'a> {
    /// Makes an instance of every stage. A stateful stage starts anew for every file.
    ///
    /// # Errors
    /// An instance cannot be made.
    pub fn new(stages: &'a [Stage], seed: u64, batch: usize) -> Result<Self> {
        let (mut runners, mut firsts) = (Vec::new(), Vec::new());
        for stage in stages {
            let (runner, first) = Runner::new(stage, seed, batch)?;
            runners.push(runner);
            firsts.push(Some(first));
        }
        let drops = vec![Drops::default(); runners.len()];
        Ok(Self { runners, firsts, drops, added: 0 })
    }

    /// Checks what the stages read against `columns` of `file`, and returns the fields that may be there after
    /// the last stage.
    ///
    /// # Errors
    /// A stage reads a field that is not there.
    pub fn check(&self, columns: &[String], file: &str) -> Result<Vec<String>> {
        let mut available = columns.to_vec();
        for runner in &self.runners {
            let contract = runner.contract();
            if let Some(field) = contract.reads.iter().find(|field| !available.contains(field)) {
                let nearest =
                    retune_roles::nearest::nearest(field, available.iter().map(String::as_str)).map(str::to_owned);
                return Err(DataError::StageField {
                    stage: runner.name().to_owned(),
                    field: field.clone(),
                    file: file.to_owned(),
                    nearest,
                    available,
                });
            }
            for field in &contract.writes {
                if !available.contains(field) {
                    available.push(field.clone());
                }
            }
        }
        Ok(available)
    }

    /// The first stage whose results may not be kept, when there is one.
    pub fn uncacheable(&self) -> Option<&str> {
        self.runners.iter().find(|runner| !runner.contract().cacheable).map(Runner::name)
    }

    /// Takes every chunk of `source` through the stages and `end`, and hands it to `sink` in order. The last chunk of
    /// the source must say that it is the last.
    ///
    /// # Errors
    /// That of the earliest chunk: the source's, a stage's, of `end` or of `sink`.
    pub fn run<R: Send>(
        &mut self,
        threads: usize,
        source: impl FnMut() -> Option<Result<Chunk<R>>> + Send,
        end: &(dyn Fn(Vec<Record>) -> Result<R> + Sync),
        sink: &mut dyn FnMut(Chunk<R>) -> Result<()>,
    ) -> Result<()> {
        type Instances = Vec<Option<Box<dyn Preprocessor>>>;
        let mut workers: Vec<Instances> = (0..threads.max(1)).map(|_| vec_of_none(self.runners.len())).collect();
        let mut steps: Vec<Step<'_, Instances, Chunk<R>, DataError>> = Vec::new();
        for (stage, (runner, first)) in self.runners.iter().zip(&mut self.firsts).enumerate() {
            let mut first = first.take();
            if runner.contract().stateful {
                steps.push(Step::InOrder(Box::new(move |mut chunk| {
                    let records = std::mem::take(&mut chunk.records);
                    chunk.after(stage, runner.run(&mut first, records)?);
                    if let (true, Some(instance)) = (chunk.last, &mut first) {
                        chunk.after(stage, runner.finish(&mut **instance)?);
                    }
                    Ok(chunk)
                })));
            } else {
                // For whichever thread has work first, so that no other is made for a single chunk.
                let spare = Mutex::new(first);
                steps.push(Step::Anywhere(Box::new(move |instances: &mut Instances, mut chunk: Chunk<R>| {
                    if instances[stage].is_none() {
                        instances[stage] = spare.lock().unwrap_or_else(PoisonError::into_inner).take();
                    }
                    let records = std::mem::take(&mut chunk.records);
                    chunk.after(stage, runner.run(&mut instances[stage], records)?);
                    Ok(chunk)
                })));
            }
        }
        steps.push(Step::Anywhere(Box::new(|_, mut chunk| {
            chunk.done = Some(end(std::mem::take(&mut chunk.records))?);
            Ok(chunk)
        })));
        let (drops, added) = (&mut self.drops, &mut self.added);
        parallel::run(source, steps, &mut workers, &mut |chunk: Chunk<R>| {
            for (stage, settled) in &chunk.went {
                settled.dropped.iter().for_each(|(reason, key)| drops[*stage].add(reason, key));
                *added += settled.added;
            }
            sink(chunk)
        })
    }

    /// Rows that went, by stage and reason, in the order of the stages.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.runners.iter().zip(&self.drops).flat_map(|(runner, drops)| drops.report(runner.name())).collect()
    }

    /// Rows that stages made beyond the first of a row.
    pub fn added(&self) -> u64 {
        self.added
    }
}

fn vec_of_none<T>(count: usize) -> Vec<Option<T>> {
    (0..count).map(|_| None).collect()
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
