//! retune-tests
