//! One preprocessor at work: batches in, rows out, every promise checked.
//!
//! A stateless stage runs one instance a thread and its results are put back in order. A stateful
//! one runs a single instance over the batches in order, and is asked to `finish` after the last.
//! Nothing a stage returns is believed: positions, reasons, field names and promised fields are checked
//! here, in [`settle`], and a broken promise is a [`Failure`] that names the row.

use std::collections::BTreeMap;

use retune_roles::preprocessor::Fields;
use retune_roles::{BatchResult, Failure, Preprocessor, PreprocessorContract, RoleKind, Sample, Stage};
use sha2::{Digest, Sha256};

use crate::parallel::ordered;
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

/// What became of one batch, with its keys.
#[derive(Debug)]
struct Settled {
    records: Vec<Record>,
    dropped: Vec<(String, String)>,
    added: u64,
}

/// A stage and its instances.
pub(crate) struct Runner<'a> {
    stage: &'a Stage,
    contract: PreprocessorContract,
    who: String,
    instances: Vec<Option<Box<dyn Preprocessor>>>,
    seed: u64,
    batch: usize,
    finished: u64,
    /// Rows it dropped.
    pub drops: Drops,
    /// Rows it made beyond the first of a row.
    pub added: u64,
}

impl<'a> Runner<'a> {
    /// Makes the first instance and asks it for its contract.
    pub fn new(stage: &'a Stage, seed: u64, batch: usize, threads: usize) -> Result<Self, Failure> {
        let first = (stage.make)()?;
        let contract = first.describe().clone();
        let who = first.name().to_owned();
        let mut instances: Vec<Option<Box<dyn Preprocessor>>> = vec![Some(first)];
        if !contract.stateful {
            instances.resize_with(threads.max(1), || None);
        }
        Ok(Self { stage, contract, who, instances, seed, batch, finished: 0, drops: Drops::default(), added: 0 })
    }

    /// The stage's name in the report.
    pub fn name(&self) -> &str {
        &self.stage.name
    }

    /// What it promises.
    pub fn contract(&self) -> &PreprocessorContract {
        &self.contract
    }

    /// Takes rows through the stage.
    pub fn run(&mut self, records: Vec<Record>) -> Result<Vec<Record>, Failure> {
        let mut batches = Vec::with_capacity(records.len().div_ceil(self.batch));
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            batches.push(records.by_ref().take(self.batch).collect::<Vec<Record>>());
        }
        let (stage, contract, who, seed) = (self.stage, &self.contract, self.who.as_str(), self.seed);
        let settled = ordered(batches, &mut self.instances, |instance, batch: Vec<Record>| {
            let instance = match instance {
                Some(instance) => instance,
                empty => empty.insert((stage.make)()?),
            };
            let lines: Vec<Option<u64>> = batch.iter().map(|record| record.line).collect();
            let samples: Vec<Sample> = batch
                .into_iter()
                .map(|record| Sample {
                    seed: sample_seed(seed, &stage.name, &record.key, 0),
                    key: record.key,
                    fields: record.fields,
                })
                .collect();
            let result = instance.process(&samples).map_err(|failure| failure.at(span(&samples)))?;
            settle(who, contract, &samples, &lines, result)
        })?;
        let mut all = Vec::new();
        for batch in settled {
            for (reason, key) in batch.dropped {
                self.drops.add(&reason, &key);
            }
            self.added += batch.added;
            all.extend(batch.records);
        }
        Ok(all)
    }

    /// After the last row: what a stateful stage still holds.
    pub fn finish(&mut self) -> Result<Vec<Record>, Failure> {
        if !self.contract.stateful {
            return Ok(Vec::new());
        }
        let Some(Some(instance)) = self.instances.first_mut() else { return Ok(Vec::new()) };
        let outputs = instance.finish()?;
        let mut records = Vec::with_capacity(outputs.len());
        for output in outputs {
            let key = format!("{}#{}", self.stage.name, self.finished);
            self.finished += 1;
            check_fields(&self.who, "finish", &self.contract, &key, &output.fields)?;
            records.push(Record { key, line: None, fields: output.fields });
        }
        self.added += records.len() as u64;
        Ok(records)
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
