//! A loaded component: what it is, and what an instance of it is made of. [`crate::roles`] puts it to use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use retune_roles::digest::hex;
use retune_roles::{Failure, Reads, Result, RoleKind, Tokenizer};
use serde_json::Value;
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, Instance as ComponentInstance, InstancePre, Linker};
use wasmtime::{Engine, Store};

use crate::bindings::guest;
use crate::error::LoadError;
use crate::imports::{Shape, VERSION, fits};
use crate::limits::Limits;
use crate::meter::Meter;
use crate::state::State;

/// How a plugin is set up for one use.
#[derive(Clone)]
pub struct Setup {
    /// Resolved by [`Plugin::resolve_config`].
    pub config: Value,
    /// The run's seed; the plugin gets one derived from it and from its name.
    pub seed: u64,
    /// What the instance may use.
    pub limits: Limits,
    /// The run's tokenizer, for preprocessors and for metrics of what the model writes.
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
    /// Counts what all instances of this use take together.
    pub meter: Meter,
}

impl Setup {
    /// This configuration, with default limits and no tokenizer.
    pub fn new(config: Value, seed: u64) -> Self {
        Self { config, seed, limits: Limits::default(), tokenizer: None, meter: Meter::default() }
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("config", &self.config)
            .field("seed", &self.seed)
            .field("limits", &self.limits)
            .field("tokenizer", &self.tokenizer.as_ref().map(|t| t.name().to_owned()))
            .finish()
    }
}

/// A component that plays at least one role. Cheap to clone; instances are made
/// from it on any thread.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    path: PathBuf,
    name: String,
    digest: String,
    size: u64,
    roles: Vec<RoleKind>,
    imports: Vec<String>,
    engine: Engine,
    pre: InstancePre<State>,
    indices: Indices,
    schema: OnceLock<Result<Value>>,
}

/// Where each interface's functions are; `None` for those it does not export.
pub(crate) struct Indices {
    pub plugin: guest::plugin::GuestIndices,
    pub checkpoint: Option<guest::checkpoint::GuestIndices>,
    pub preprocessor: Option<guest::preprocessor::GuestIndices>,
    pub loss: Option<guest::loss::GuestIndices>,
    pub policy: Option<guest::policy::GuestIndices>,
    pub metric: Option<guest::metric::GuestIndices>,
    pub tensor_metric: Option<guest::tensor_metric::GuestIndices>,
    pub text_metric: Option<guest::text_metric::GuestIndices>,
}

impl Indices {
    fn find(pre: &InstancePre<State>, shape: &Shape) -> wasmtime::Result<Self> {
        macro_rules! optional {
            ($interface:literal, $module:ident) => {
                shape.exports($interface).then(|| guest::$module::GuestIndices::new(pre)).transpose()?
            };
        }
        Ok(Self {
            plugin: guest::plugin::GuestIndices::new(pre)?,
            checkpoint: optional!("checkpoint", checkpoint),
            preprocessor: optional!("preprocessor", preprocessor),
            loss: optional!("loss", loss),
            policy: optional!("policy", policy),
            metric: optional!("metric", metric),
            tensor_metric: optional!("tensor-metric", tensor_metric),
            text_metric: optional!("text-metric", text_metric),
        })
    }
}

/// What a plugin is.
impl Plugin {
    /// Checks a compiled component against the contract.
    pub(crate) fn new(
        path: &Path,
        bytes: &[u8],
        engine: &Engine,
        component: &Component,
        linker: &Linker<State>,
    ) -> std::result::Result<Self, LoadError> {
        let shape = Shape::of(&component.component_type(), engine);
        shape.check_imports(path)?;
        let roles = shape.roles(path)?;
        let pre = fits(linker.instantiate_pre(component), path)?;
        let indices = fits(Indices::find(&pre, &shape), path)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            name: path.file_stem().map_or_else(|| "plugin".into(), |stem| stem.to_string_lossy().into_owned()),
            digest: hex(&Sha256::digest(bytes)),
            size: bytes.len() as u64,
            roles,
            imports: shape.imports,
            engine: engine.clone(),
            pre,
            indices,
            schema: OnceLock::new(),
        })))
    }

    /// The file's name without its extension.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// SHA-256 of the component, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Bytes of the component.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The roles it plays, as its exports say.
    pub fn roles(&self) -> &[RoleKind] {
        &self.0.roles
    }

    /// What it is fed when it plays a metric, as its exports say.
    pub fn reads(&self) -> Reads {
        let indices = &self.0.indices;
        Reads { tensors: indices.tensor_metric.is_some(), texts: indices.text_metric.is_some() }
    }

    /// What it imports, with versions.
    pub fn imports(&self) -> Vec<String> {
        self.0.imports.clone()
    }

    /// With the answer to the question for its schema, which was asked elsewhere.
    pub(crate) fn answering(self, schema: Result<Value>) -> Self {
        // Nobody else has it yet, so it was not asked here.
        let _ = self.0.schema.set(schema);
        self
    }

    /// Its schema: asked for the first time, remembered after.
    pub(crate) fn schema_or(&self, ask: impl FnOnce() -> Result<Value>) -> Result<Value> {
        self.0.schema.get_or_init(ask).clone()
    }

    /// Digest over component, configuration and seed: equal fingerprints give equal
    /// outputs for equal inputs and tokenizers.
    pub fn fingerprint(&self, setup: &Setup) -> String {
        let mut hash = Sha256::new();
        for part in [VERSION, &self.0.digest, &canonical(&setup.config)] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(self.seed(setup).to_le_bytes());
        hex(&hash.finalize())
    }
}

/// What an instance of it is made of.
impl Plugin {
    /// Who this is, for messages: `focal (plugins/focal.wasm)`.
    pub(crate) fn who(&self) -> String {
        format!("{} ({})", self.0.name, self.0.path.display())
    }

    /// The seed the plugin is told.
    pub(crate) fn seed(&self, setup: &Setup) -> u64 {
        let mut hash = Sha256::new();
        hash.update(setup.seed.to_le_bytes());
        hash.update(self.0.name.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).rev().fold(0, |seed, &byte| seed << 8 | u64::from(byte))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn indices(&self) -> &Indices {
        &self.0.indices
    }

    pub(crate) fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<ComponentInstance> {
        self.0.pre.instantiate(store)
    }

    /// The failure of a plugin asked to play a role it does not have.
    pub(crate) fn miscast(&self, role: RoleKind) -> Failure {
        let roles: Vec<String> = self.0.roles.iter().map(RoleKind::to_string).collect();
        Failure::new(
            self.who(),
            role,
            "start-up",
            format!("it is not a {role}: its exports make it a {}", roles.join(", ")),
        )
        .help(format!("name it in the recipe as what it is, or choose a plugin that exports `{role}`"))
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("path", &self.0.path).field("roles", &self.0.roles).finish_non_exhaustive()
    }
}

/// JSON with its keys in order, so that equal settings have equal text.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<_> = members.iter().collect();
            keys.sort_by_key(|(key, _)| *key);
            let members: Vec<_> = keys
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_change_a_fingerprint() {
        assert_eq!(
            canonical(&json!({"b": [1, {"d": 1, "c": null}], "a": "x"})),
            r#"{"a":"x","b":[1,{"c":null,"d":1}]}"#
        );
    }

    #[test]
    fn digests_are_written_as_others_write_them() {
        assert_eq!(hex(&Sha256::digest(b"abc"))[..16], *"ba7816bf8f01cfea");
    }
}
