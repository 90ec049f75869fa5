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
    /// Of a run with [adapter]: what is written there. The run directory has the adapter anyway.
    #[schemars(extend("x-default" = "adapter"))]
    pub format: Option<ExportFormat>,
}

/// What of an adapter and its base is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportFormat {
    /// The adapter, as peft reads it.
    Adapter,
    /// One model of both, in the number formats of the base.
    Merged,
}
