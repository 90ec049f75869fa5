//! The training core: models, optimiser, the loop, checkpoints, evaluation.
//!
//! One loop serves every strategy: what learns, how fast and from which loss are
//! values that the loop reads. It knows the four roles of `retune-roles` and has
//! never heard of WebAssembly.
//!
//! What holds here, and is tested:
//!
//! - the loss of an optimiser step is (sum of numerators) / (sum of denominators)
//!   over all its micro-batches, so splitting a batch changes nothing ([`training::step`]);
//! - a frozen parameter has no gradient, no optimiser state and no decay, and its
//!   bytes are proven unchanged (`freeze::frozen`);
//! - a run that was killed and goes on ends with the same bytes (`files::checkpoint`);
//! - evaluation streams, and does not depend on the batch size ([`evaluation`]).
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use retune_roles::Task;
//! use retune_train::{Roles, TrainEvent, TrainSpec, Trainer, model::{Base, Model}};
//! # fn examples() -> Vec<retune_roles::Example> { Vec::new() }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let task = Task::SequenceClassification { labels: vec!["no".into(), "yes".into()] };
//! let device = retune_tensor::Device::flex();
//! let (model, _) = Model::load(&Base::Directory("all-MiniLM-L6-v2".into()), &task, 42, &device)?;
//! let roles = Roles::new(Box::new(retune_roles::builtin::CrossEntropy::for_sequences()));
//! let (train, validation) = (examples(), examples());
//! let trainer = Trainer::new(model, TrainSpec::default(), roles, &train, &validation)?;
//! let outcome = trainer.run(&mut |event: &TrainEvent| {
//!     println!("{event:?}");
//!     ControlFlow::Continue(())
//! })?;
//! println!("{} steps", outcome.steps);
//! # Ok(()) }
//! ```

pub mod collate;
pub mod error;
pub mod evaluation;
pub mod event;
mod files;
mod freeze;
pub mod generation;
pub mod memory;
pub mod model;
pub mod optimizer;
mod seeds;
pub mod spec;
pub mod training;

pub use error::TrainError;
pub use evaluation::{
    Asking, Confusion, Evaluation, Generated, HeldOut, Prediction, Scores, TaggedWord, Tagging, Writer, evaluate,
    predict, predict_scores, predict_tags,
};
pub use event::{Answer, LayerState, Observer, Silent, TrainEvent};
pub use freeze::strategy::learning;
pub use optimizer::schedule::{LrScheduler, SchedulerName};
pub use spec::{
    AdamW, Best, CheckpointSpec, EarlyStopping, EvaluationSpec, Every, Mode, Reinitialize, Scheme, Strategy, TrainSpec,
};
pub use training::{Outcome, Roles, Trainer};
