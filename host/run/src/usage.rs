//! What the plugins of a run took, kept in its manifest.
//!
//! A run that is stopped and goes on adds up: what the manifest had when this process began, and what the roles' meters have counted
//! since. It is written whenever the run ends, well or not, before the report is made.

use std::path::PathBuf;

use retune_recipe::diagnostic::Result;
use retune_sandbox::Used;

use crate::manifest::Manifest;
use crate::roles::RunRoles;
use crate::run_dir::RunDir;

/// The account of one run.
pub(crate) struct Usage {
    manifest: PathBuf,
    /// What each role had taken when this process began.
    before: Vec<Used>,
}

impl Usage {
    /// Of the run in `run_dir`, which goes on when it is `resumed`.
    pub(crate) fn begin(run_dir: &RunDir, resumed: bool) -> Result<Self> {
        let manifest = run_dir.manifest();
        let before = match resumed {
            true => Manifest::read(&manifest)?.roles.into_iter().map(|role| role.used.unwrap_or_default()).collect(),
            false => Vec::new(),
        };
        Ok(Self { manifest, before })
    }

    /// Writes down what `roles` have taken by now.
    pub(crate) fn write(&self, roles: &RunRoles) -> Result<()> {
        let mut manifest = Manifest::read(&self.manifest)?;
        let before = self.before.iter().copied().chain(std::iter::repeat(Used::default()));
        for ((facts, now), before) in manifest.roles.iter_mut().zip(roles.facts()).zip(before) {
            facts.used = now.used.map(|used| before.and(used));
        }
        manifest.write(&self.manifest)
    }
}
