//! retune-sandbox
