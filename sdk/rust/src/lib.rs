//! retune-sdk
