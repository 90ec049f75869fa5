//! What the tests of several rooms share: the laws that inputs of strangers are held to, as functions of bytes ([`fuzz`]).

pub mod fuzz;
