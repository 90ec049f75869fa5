//! The section `export`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kinds::Folder;

/// A second copy of the result.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Export {
    /// Where the second copy goes, in Hugging Face layout.
    #[schemars(
        with = "Folder",
        extend(
            "x-required" = true,
            "x-write" = "directory = \"out/my-model\", or leave [export] out: the run directory has a copy anyway"
        )
    )]
    pub directory: PathBuf,
}
