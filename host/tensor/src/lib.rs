//! retune-tensor
