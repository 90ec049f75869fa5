//! retune-train
