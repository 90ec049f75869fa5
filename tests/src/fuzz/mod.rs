//! What is read from strangers, each reader as a function of bytes that panics when a law is broken.
//!
//! A target is called by the bounded test (`tests/tests/fuzz.rs`, on the seeds and on what is made of them) and by libFuzzer
//! (`tests/fuzz/`). Laws that all share: no panic, no abort, memory and time in proportion to the input, and whatever is told is
//! bounded text without control characters. Price: readers take files, so an input is written to a folder of its own each time.
#![allow(clippy::unwrap_used, clippy::panic)]

mod checkpoint;
mod component;
mod config;
mod files;
mod recipe;
mod rows;
mod schema;
mod tokenizer;
mod values;

pub use checkpoint::checkpoint;
pub use component::component;
pub use config::config;
pub use recipe::recipe;
pub use rows::rows;
pub use schema::schema;
pub use tokenizer::tokenizer;
pub use values::values;

use retune_roles::text::visible;

/// A target and its name, which is that of its folder of seeds as well.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 8] = [
    ("checkpoint", checkpoint),
    ("component", component),
    ("config", config),
    ("recipe", recipe),
    ("rows", rows),
    ("schema", schema),
    ("tokenizer", tokenizer),
    ("values", values),
];

/// Most characters of one thing that is told: a path, and what is said of it.
const LONGEST: usize = 20_000;

/// Panics unless `told` is bounded. Whoever prints an error of a file takes control characters out.
fn check_bounded(told: &str) {
    let length = told.chars().count();
    assert!(length <= 10 * LONGEST, "{length} characters are told: {}", told.chars().take(300).collect::<String>());
}

/// Panics unless `told` is bounded, and free of what rewrites a screen.
fn check_told(told: &str) {
    let length = told.chars().count();
    assert!(length <= LONGEST, "{length} characters are told: {}", told.chars().take(300).collect::<String>());
    assert!(visible(told) == told, "what is told has control characters: {told:?}");
}

/// The parts of an input, which are separated by a line of three dashes.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    const LINE: &[u8] = b"\n---\n";
    let mut rest = Some(data);
    std::array::from_fn(|part| {
        let Some(bytes) = rest else { return &[][..] };
        let end = bytes.windows(LINE.len()).position(|window| window == LINE).filter(|_| part + 1 < N);
        rest = end.map(|end| &bytes[end + LINE.len()..]);
        &bytes[..end.unwrap_or(bytes.len())]
    })
}

/// The first line of an input and what follows.
fn headed(data: &[u8]) -> (&str, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    (std::str::from_utf8(&data[..end]).unwrap_or_default(), data.get(end + 1..).unwrap_or_default())
}
