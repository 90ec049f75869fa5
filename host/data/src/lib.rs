//! retune-data
