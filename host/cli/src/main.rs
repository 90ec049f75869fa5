//! The `retune` binary.
fn main() {}
