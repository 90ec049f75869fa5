//! Attack: says in each role what its program says, and does with tensors what that says. A fuzzer writes the program, a character a
//! byte. Answered by what converts each answer.
//! Config: {"program": "\u0000"}

mod program;
mod tensors;

use retune_sdk::{
    Action, Batch, BatchResult, Change, Event, InitScheme, Layer, Loss, LossOutput, Metric, Output, Policy,
    PolicyContract, Preprocessor, PreprocessorContract, Progress, Rejection, Result, Sample, ValueSpec,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::program::Reader;
use crate::tensors::Made;

/// The settings.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to say.
    program: String,
}

/// The program of each role.
struct Program {
    program: Vec<u8>,
}

impl Program {
    /// The program, or the error that it begins with.
    fn made(config: &Config) -> Result<Self> {
        let program: Vec<u8> = config.program.chars().map(|c| c as u32 as u8).collect();
        match program.first() {
            Some(255) => Err(Reader::new(&program[1..]).error()),
            _ => Ok(Self { program }),
        }
    }

    /// The program, unless it says to fail.
    fn begin(&self) -> Result<Reader<'_>> {
        let mut reader = Reader::new(&self.program);
        if reader.byte() == 254 { Err(reader.error()) } else { Ok(reader) }
    }
}

/// The plugin as a preprocessor.
pub struct Rows(Program);

impl Preprocessor for Rows {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Program::made(&config).map(Self)
    }

    fn describe(&self) -> PreprocessorContract {
        let mut reader = Reader::new(&self.0.program);
        let kind = reader.byte();
        let (reads, writes) = match kind & 8 {
            0 => (vec!["text".to_owned()], vec!["text".to_owned()]),
            _ => (reader.several(4, Reader::text), reader.several(4, Reader::text)),
        };
        PreprocessorContract { reads, writes, stateful: kind & 16 != 0, cacheable: kind & 32 != 0 }
    }

    fn process(&mut self, batch: Vec<Sample>) -> Result<BatchResult> {
        let mut reader = self.0.begin()?;
        let mut result = BatchResult::default();
        let source = |reader: &mut Reader<'_>, at: usize| if reader.of(8) == 7 { reader.size() } else { at as u32 };
        for (at, _) in batch.iter().enumerate() {
            if reader.flag() {
                let source = source(&mut reader, at);
                result.rejected.push(Rejection { source, reason: reader.text() });
            } else {
                let source = source(&mut reader, at);
                result.outputs.push(Output { source, fields: reader.fields() });
            }
        }
        Ok(result)
    }

    fn finish(&mut self) -> Result<Vec<Output>> {
        let mut reader = self.0.begin()?;
        Ok(reader.several(9, |reader| Output { source: reader.size(), fields: reader.fields() }))
    }
}

/// The plugin as a loss.
pub struct Objective(Program);

impl Loss for Objective {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Program::made(&config).map(Self)
    }

    fn compute(&mut self, batch: &Batch, _at: Progress) -> Result<LossOutput> {
        let mut reader = self.0.begin()?;
        let mut made = Made::of(batch)?;
        made.play(&mut reader)?;
        let summed = |reader: &mut Reader<'_>| match reader.flag() {
            true => made.any(reader).cast(reader.dtype()),
            false => made.any(reader).sum(&[], false),
        };
        let output = LossOutput::new(summed(&mut reader), summed(&mut reader));
        let reported = reader.of(4);
        Ok((0..reported)
            .fold(output, |output, _| output.report(reader.text(), summed(&mut reader), summed(&mut reader))))
    }
}

/// The plugin as a freezing policy.
pub struct Freezing(Program);

impl Policy for Freezing {
    type Config = Config;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Program::made(&config).map(Self)
    }

    fn describe(&self) -> PolicyContract {
        let mut reader = Reader::new(&self.0.program);
        let kind = reader.byte();
        let every_steps = (kind & 1 == 1).then(|| reader.size());
        PolicyContract {
            every_epoch: kind & 2 == 2,
            every_steps,
            after_evaluation: kind & 4 == 4,
            stats: kind & 8 == 8,
        }
    }

    fn attach(&mut self, _: &[Layer]) -> Result<()> {
        self.0.begin().map(drop)
    }

    fn decide(&mut self, _: &Event) -> Result<Vec<Change>> {
        let mut reader = self.0.begin()?;
        Ok(reader.several(40, |reader| {
            let action = match reader.of(9) {
                0 => Action::Freeze,
                1 => Action::Unfreeze,
                2 => Action::LrScale(reader.number()),
                3 => Action::WeightDecay(reader.number()),
                4 => Action::Reinit(InitScheme::Zeros),
                5 => Action::Reinit(InitScheme::Normal(reader.number())),
                6 => Action::Reinit(InitScheme::KaimingUniform),
                7 => Action::Reinit(InitScheme::XavierUniform),
                _ => Action::Reinit(InitScheme::Pretrained),
            };
            Change::new(reader.text(), action, reader.text())
        }))
    }
}

/// What the metric keeps.
#[derive(Default, Deserialize, Serialize)]
pub struct Seen(Vec<String>);

/// The plugin as a metric.
pub struct Measure(Program);

impl Metric for Measure {
    type Config = Config;
    type State = Seen;

    fn new(config: Config, _seed: u64) -> Result<Self> {
        Program::made(&config).map(Self)
    }

    fn describe(&self) -> Vec<ValueSpec> {
        let mut reader = Reader::new(&self.0.program);
        let named = |reader: &mut Reader<'_>| ValueSpec::higher(reader.text()).unit(reader.text());
        match reader.of(3) {
            0 => vec![ValueSpec::higher("loss")],
            _ => reader.several(5, named),
        }
    }

    fn update(&self, state: &mut Seen, batch: &Batch) -> Result<()> {
        let mut reader = self.0.begin()?;
        Made::of(batch)?.play(&mut reader)?;
        state.0.push(reader.text());
        Ok(())
    }

    fn merge(&self, state: &mut Seen, other: Seen) -> Result<()> {
        state.0.extend(other.0);
        self.0.begin().map(drop)
    }

    fn compute(&self, _: &Seen) -> Result<Vec<(String, f64)>> {
        let mut reader = self.0.begin()?;
        let mut values = reader.several(9, |reader| (reader.text(), reader.number()));
        if reader.is_over() {
            values.insert(0, ("loss".to_owned(), reader.number()));
        }
        Ok(values)
    }
}

retune_sdk::export!(preprocessor: Rows, loss: Objective, policy: Freezing, metric: Measure);
