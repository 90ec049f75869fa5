//! One preprocessor at work: batches in, rows out, every promise checked.
//!
//! A stateless stage has one instance per thread. A stateful
//! one has a single instance that sees the batches in order, and is asked to `finish` after the last.
//! Nothing a stage returns is believed: positions, reasons, field names and promised fields are checked
//! here, in [`settle`], and a broken promise is a [`Failure`] that names the row.

use std::collections::BTreeMap;

use retune_roles::preprocessor::Fields;
use retune_roles::{BatchResult, Failure, Preprocessor, PreprocessorContract, RoleKind, Sample, Stage};
use sha2::{Digest, Sha256};

use crate::record::Record;
use crate::report::Dropped;

/// The reason of a row that a stage neither passed on nor rejected.
pub const FILTERED: &str = "filtered";
/// The longest reason code, in bytes.
const LONGEST_REASON: usize = 64;
/// Keys of dropped rows that the report shows, a stage and reason.
const SHOWN_KEYS: usize = 5;
/// Different reasons of one stage that are counted apart.
const MOST_REASONS: usize = 100;

/// The only source of chance a preprocessor has: a digest of the run's seed, its own name, the row's key
/// and the epoch.
pub fn sample_seed(run_seed: u64, stage: &str, key: &str, epoch: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(run_seed.to_le_bytes());
    hash.update((stage.len() as u64).to_le_bytes());
    hash.update(stage);
    hash.update((key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update(epoch.to_le_bytes());
    let digest = hash.finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(bytes)
}

/// Dropped rows, counted by reason.
#[derive(Clone, Debug, Default)]
pub struct Drops(BTreeMap<String, (u64, Vec<String>)>);

impl Drops {
    /// Counts one row.
    pub fn add(&mut self, reason: &str, key: &str) {
        let known = self.0.contains_key(reason) || self.0.len() < MOST_REASONS;
        let (count, keys) = self.0.entry(if known { reason } else { "other" }.to_owned()).or_default();
        *count += 1;
        if keys.len() < SHOWN_KEYS {
            keys.push(key.to_owned());
        }
    }

    /// The counts, under the name of a stage, most first.
    pub fn report(&self, stage: &str) -> Vec<Dropped> {
        let mut all: Vec<Dropped> = self
            .0
            .iter()
            .map(|(reason, (count, keys))| Dropped {
                stage: stage.to_owned(),
                reason: reason.clone(),
                count: *count,
                keys: keys.clone(),
            })
            .collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
        all
    }
}

/// What became of rows that went through a stage, with the keys of those that did not come out.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Rows that go on.
    pub records: Vec<Record>,
    /// Reason and key of every row that does not.
    pub dropped: Vec<(String, String)>,
    /// Rows made beyond the first of a row.
    pub added: u64,
}

impl Settled {
    fn extend(&mut self, other: Self) {
        self.records.extend(other.records);
        self.dropped.extend(other.dropped);
        self.added += other.added;
    }
}

/// A stage and what it promises.
pub(crate) struct Runner<'a> {
    stage: &'a Stage,
    contract: PreprocessorContract,
    who: String,
    seed: u64,
    batch: usize,
}

impl<'a> Runner<'a> {
    /// Makes the first instance and asks it for its contract. `batch` is the most rows of one call.
    pub fn new(stage: &'a Stage, seed: u64, batch: usize) -> Result<(Self, Box<dyn Preprocessor>), Failure> {
        let first = (stage.make)()?;
        let (contract, who) = (first.describe().clone(), first.name().to_owned());
        Ok((Self { stage, contract, who, seed, batch }, first))
    }

    /// The stage's name in the report.
    pub fn name(&self) -> &str {
        &self.stage.name
    }

    /// What it promises.
    pub fn contract(&self) -> &PreprocessorContract {
        &self.contract
    }

    /// Takes rows through an instance, which is made when there is none yet.
    pub fn run(&self, instance: &mut Option<Box<dyn Preprocessor>>, records: Vec<Record>) -> Result<Settled, Failure> {
        let mut all = Settled::default();
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            if instance.is_none() {
                *instance = Some((self.stage.make)()?);
            }
            let Some(instance) = instance else { break };
            let (mut lines, mut samples) = (Vec::new(), Vec::new());
            for record in records.by_ref().take(self.batch) {
                lines.push(record.line);
                samples.push(Sample {
                    seed: sample_seed(self.seed, &self.stage.name, &record.key, 0),
                    key: record.key,
                    fields: record.fields,
                });
            }
            let result = instance.process(&samples).map_err(|failure| failure.at(span(&samples)))?;
            let settled = || settle(&self.who, &self.contract, &samples, &lines, result);
            let settled = Failure::guard(&self.who, RoleKind::Preprocessor, "process", settled);
            all.extend(settled.flatten().map_err(|failure| failure.at(span(&samples)))?);
        }
        Ok(all)
    }

    /// After the last row: what a stateful stage still holds.
    pub fn finish(&self, instance: &mut dyn Preprocessor) -> Result<Settled, Failure> {
        let outputs = instance.finish()?;
        let mut records = Vec::with_capacity(outputs.len());
        for (number, output) in outputs.into_iter().enumerate() {
            let key = format!("{}#{number}", self.stage.name);
            check_fields(&self.who, "finish", &self.contract, &key, &output.fields)?;
            records.push(Record { key, line: None, fields: output.fields });
        }
        let added = records.len() as u64;
        Ok(Settled { records, dropped: Vec::new(), added })
    }
}

fn span(samples: &[Sample]) -> String {
    match samples {
        [] => "an empty batch".to_owned(),
        [one] => format!("sample {}", one.key),
        [first, .., last] => format!("samples {} to {}", first.key, last.key),
    }
}

/// Turns what a stage answered into rows, and refuses what breaks the contract.
fn settle(
    who: &str,
    contract: &PreprocessorContract,
    samples: &[Sample],
    lines: &[Option<u64>],
    mut result: BatchResult,
) -> Result<Settled, Failure> {
    let fail = |reason: String| Failure::new(who, RoleKind::Preprocessor, "process", reason).at(span(samples));
    let last = samples.len().saturating_sub(1);
    let mut outputs_of = vec![0u64; samples.len()];
    for output in &result.outputs {
        let count = outputs_of.get_mut(output.source as usize).ok_or_else(|| {
            fail(format!(
                "an output says it comes from sample {} of the batch, and they go from 0 to {last}",
                output.source
            ))
            .help("`source` is the position in the batch of the sample an output was made of")
        })?;
        *count += 1;
    }
    let mut reasons: Vec<Option<String>> = vec![None; samples.len()];
    for rejection in result.rejected {
        let source = rejection.source as usize;
        let slot = reasons
            .get_mut(source)
            .ok_or_else(|| fail(format!("it rejected sample {source} of the batch, and they go from 0 to {last}")))?;
        let key = &samples[source].key;
        let broken = |reason: &str| {
            Failure::new(who, RoleKind::Preprocessor, "process", reason.to_owned()).at(format!("sample {key}"))
        };
        if slot.is_some() {
            return Err(broken("it rejected the sample twice"));
        }
        if outputs_of[source] > 0 {
            return Err(broken("it both passed the sample on and rejected it")
                .help("a sample is in `outputs`, or in `rejected`, or in neither (filtered)"));
        }
        let reason = rejection.reason.trim().to_owned();
        if reason.is_empty() || reason.len() > LONGEST_REASON {
            return Err(broken(&format!(
                "the reason of a rejection has {} bytes, and a reason is a code of 1 to {LONGEST_REASON}",
                reason.len()
            ))
            .help("reasons are counted in the data report: use a few short codes such as `too-long`"));
        }
        *slot = Some(reason);
    }
    let mut dropped = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        if outputs_of[index] == 0 {
            dropped.push((reasons[index].take().unwrap_or_else(|| FILTERED.to_owned()), sample.key.clone()));
        }
    }
    // By origin, whatever the order they were given in: batch boundaries must not show.
    result.outputs.sort_by_key(|output| output.source);
    let mut numbers = vec![0u64; samples.len()];
    let mut records = Vec::with_capacity(result.outputs.len());
    let mut added = 0;
    for output in result.outputs {
        let source = output.source as usize;
        let origin = &samples[source].key;
        let key = match outputs_of[source] {
            1 => origin.clone(),
            _ => format!("{origin}#{}", numbers[source]),
        };
        added += u64::from(numbers[source] > 0);
        numbers[source] += 1;
        check_fields(who, "process", contract, &key, &output.fields)?;
        records.push(Record { key, line: lines[source], fields: output.fields });
    }
    Ok(Settled { records, dropped, added })
}

fn check_fields(
    who: &str,
    call: &str,
    contract: &PreprocessorContract,
    key: &str,
    fields: &Fields,
) -> Result<(), Failure> {
    let fail = |reason: String| Failure::new(who, RoleKind::Preprocessor, call, reason).at(format!("sample {key}"));
    for (index, (name, _)) in fields.iter().enumerate() {
        if fields[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(fail(format!("an output has the field `{name}` twice")));
        }
    }
    match contract.writes.iter().find(|promised| !fields.iter().any(|(name, _)| name == *promised)) {
        Some(promised) => Err(fail(format!("an output lacks the field `{promised}`, which the contract promises"))
            .help("list in `writes` only the fields that every output has")),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
