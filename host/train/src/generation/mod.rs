//! Continuing texts with a language model: for looking at it, and for metrics that read what it answers.
//!
//! [`Generator`] takes prompts as tokens and gives the tokens that follow each. Prompts of unequal lengths share a batch without
//! padding; one that has come to its end leaves the batch, and the next that waits takes its place. What comes out
//! for a prompt depends on the prompt, its place in the list, the model and the [`GenerationSpec`], and on nothing else: neither on the
//! size of the batch nor on the prompts beside it. [`Generator::go_on`] does not read again what a [`ReadText`] holds of an earlier prompt.
//!
//! ```no_run
//! use retune_train::generation::{GenerationSpec, generate};
//! # fn show(model: &retune_train::model::Model) -> Result<(), retune_train::TrainError> {
//! let spec = GenerationSpec { max_new_tokens: 64, ..GenerationSpec::default() };
//! for answer in generate(model, &[vec![1, 2, 3], vec![1, 7]], &spec, None, 8)? {
//!     println!("{:?}, because {:?}", answer.ids, answer.finish);
//! }
//! # Ok(()) }
//! ```

mod defaults;
mod draw;
mod generator;
mod read_text;
mod scores;
mod spec;
mod text_stream;

pub use generator::{Finish, Generation, Generator, NewToken, generate};
pub use read_text::ReadText;
pub use spec::GenerationSpec;
pub use text_stream::TextStream;
