//! The preprocessors of a run, one after another.
//!
//! Rows go through in windows; what a stage hands on depends on nothing but the rows before it, so the
//! windows never show. Before the first row, the contracts are checked against the columns: a
//! field that a stage reads must be in the file or promised by a stage before it.

use retune_roles::Stage;

use crate::record::Record;
use crate::report::Dropped;
use crate::stage::Runner;
use crate::{DataError, Result};

/// Stages ready to run over one file.
pub struct Pipeline<'a> {
    runners: Vec<Runner<'a>>,
}

impl<'a> Pipeline<'a> {
    /// Makes an instance of every stage. A stateful stage starts anew for every file.
    ///
    /// # Errors
    /// An instance cannot be made.
    pub fn new(stages: &'a [Stage], seed: u64, batch: usize, threads: usize) -> Result<Self> {
        let runners: std::result::Result<Vec<_>, _> =
            stages.iter().map(|stage| Runner::new(stage, seed, batch, threads)).collect();
        Ok(Self { runners: runners? })
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

    /// Takes a window of rows through all stages.
    pub fn push(&mut self, records: Vec<Record>) -> Result<Vec<Record>> {
        self.push_from(0, records)
    }

    /// After the last window: what stateful stages still hold goes through the stages behind them.
    pub fn finish(&mut self) -> Result<Vec<Record>> {
        let mut rest = Vec::new();
        for index in 0..self.runners.len() {
            let held = self.runners[index].finish()?;
            rest.extend(self.push_from(index + 1, held)?);
        }
        Ok(rest)
    }

    fn push_from(&mut self, first: usize, mut records: Vec<Record>) -> Result<Vec<Record>> {
        for runner in &mut self.runners[first..] {
            if records.is_empty() {
                break;
            }
            records = runner.run(records)?;
        }
        Ok(records)
    }

    /// Rows that went, by stage and reason, in the order of the stages.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.runners.iter().flat_map(|runner| runner.drops.report(runner.name())).collect()
    }

    /// Rows that stages made beyond the first of a row.
    pub fn added(&self) -> u64 {
        self.runners.iter().map(|runner| runner.added).sum()
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
