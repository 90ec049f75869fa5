//! On a GPU the composed default bodies run, each operation a generated kernel.

use burn::backend::Cube;

use super::operations::Kernels;

impl Kernels for Cube {}
