//! The roles of a run: from references in a recipe to instances.
//!
//! [`RunRoles::resolve`] loads every plugin, checks that it plays the role it is given,
//! fills its configuration from its schema, and reports all that is wrong at the
//! place in the recipe. After that, instances are made on demand: several of a
//! preprocessor, a fresh loss and fresh metrics for each measurement.

use std::path::Path;
use std::sync::Arc;

use retune_roles::{Loss, Metric, Policy, Preprocessor, RoleKind, Stage, TaskKind, Tokenizer};
use retune_sandbox::PluginRole;
use retune_tensor::Device;

use crate::answering;
use crate::manifest::RoleFacts;
use crate::resolve::Resolver;
use crate::role::{Origin, Role, refused};
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_recipe::{Recipe, RoleRef};

/// What plays which role in a run.
pub struct RunRoles {
    /// In the order rows pass them.
    pub preprocess: Vec<Role>,
    /// One.
    pub loss: Role,
    /// In the order they are asked.
    pub policies: Vec<Role>,
    /// In the order they are printed.
    pub metrics: Vec<Role>,
    task: TaskKind,
    seed: u64,
}

impl RunRoles {
    /// Fills every role of `recipe`, or says everything that stands in the way.
    pub fn resolve(recipe: &Recipe, cache: Option<&Path>) -> Result<Self> {
        let mut resolver = Resolver::new(recipe, cache);
        let preprocess = resolver.all(&recipe.data.preprocess, RoleKind::Preprocessor);
        let own = RoleRef::builtin("loss", recipe.model.task.info().default_loss);
        let loss = resolver.one(recipe.loss.as_ref().unwrap_or(&own), RoleKind::Loss);
        let policies = resolver.all(&recipe.strategy.policy, RoleKind::Policy);
        let metrics = resolver.all(&recipe.evaluation.metrics, RoleKind::Metric);
        answering::check(recipe, &metrics).into_iter().for_each(|wrong| resolver.report(wrong));
        match (resolver.diagnostic(), loss) {
            (Some(diagnostic), _) => Err(diagnostic),
            (None, Some(loss)) => {
                Ok(Self { preprocess, loss, policies, metrics, task: recipe.model.task, seed: recipe.seed })
            }
            (None, None) => Err(Diagnostic::new("the loss cannot be used")),
        }
    }

    /// The preprocessors as stages of the data path. `tokenizer` is what plugins that ask for one get.
    pub fn stages(&self, tokenizer: &Arc<dyn Tokenizer>) -> Vec<Stage> {
        self.preprocess.iter().map(|role| role.stage(self.seed, tokenizer)).collect()
    }

    /// A fresh loss.
    pub fn loss(&self, device: &Device) -> Result<Box<dyn Loss>> {
        self.make(&self.loss, device)
    }

    /// Fresh policies.
    pub fn policies(&self) -> Result<Vec<Box<dyn Policy>>> {
        self.policies.iter().map(|role| self.make(role, &Device::flex())).collect()
    }

    /// Fresh metrics; `tokenizer` is what plugins that read texts get.
    pub fn metrics(&self, device: &Device, tokenizer: &Arc<dyn Tokenizer>) -> Result<Vec<Box<dyn Metric>>> {
        let lent = |role: &Role| role.reads().texts.then(|| Arc::clone(tokenizer));
        self.metrics.iter().map(|role| self.make_with(role, device, lent(role))).collect()
    }

    /// Whether a metric reads what the model writes.
    pub fn read_texts(&self) -> bool {
        self.metrics.iter().any(|role| role.reads().texts)
    }

    /// A fresh instance of any role.
    fn make<R: PluginRole + ?Sized>(&self, role: &Role, device: &Device) -> Result<Box<R>> {
        self.make_with(role, device, None)
    }

    fn make_with<R: PluginRole + ?Sized>(
        &self,
        role: &Role,
        device: &Device,
        tokenizer: Option<Arc<dyn Tokenizer>>,
    ) -> Result<Box<R>> {
        match &role.origin {
            Origin::Plugin { plugin, .. } => Ok(plugin.play(&role.setup(self.seed, tokenizer), device)?),
            Origin::Builtin(name) => R::builtin(name, &role.config, self.task).map_err(|r| refused(role, &r)),
        }
    }

    /// Every role, in the order of the data's way.
    pub fn each(&self) -> impl Iterator<Item = &Role> {
        self.preprocess.iter().chain(std::iter::once(&self.loss)).chain(&self.policies).chain(&self.metrics)
    }

    /// For the manifest.
    pub fn facts(&self) -> Vec<RoleFacts> {
        self.each().map(Role::facts).collect()
    }
}

/// For what a caller needs of a preprocessor before it runs.
pub fn is_stateful(stage: &Stage) -> Result<bool> {
    let instance: Box<dyn Preprocessor> = (stage.make)()?;
    Ok(instance.describe().stateful)
}
