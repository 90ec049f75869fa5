//! A plugin put to use: its settings, and its roles.

use retune_roles::caught::caught;
use retune_roles::{Loss, Metric, Policy, Preprocessor, Result, Stage};
use retune_schema::{Columns, ConfigError};
use retune_tensor::Device;
use serde_json::Value;

use crate::given;
use crate::instance::{Instance, accepted};
use crate::limits::Limits;
use crate::plugin::{Plugin, Setup};

/// Time in which a plugin starts, and time in which it answers for its schema, in milliseconds: no recipe can change it.
const SCHEMA_MS: u64 = 4_000;

/// Its settings.
impl Plugin {
    /// The JSON Schema of its configuration. Asked of the plugin once, under the
    /// default limits, and in four seconds.
    ///
    /// # Errors
    /// When the plugin traps, or its answer is not a JSON Schema.
    pub fn schema(&self) -> Result<Value> {
        self.schema_or(|| self.ask_schema())
    }

    fn ask_schema(&self) -> Result<Value> {
        let limits = Limits { deadline_ms: SCHEMA_MS, ..Limits::default() };
        let setup = Setup { limits, ..Setup::new(Value::Null, 0) };
        let mut instance = Instance::bare(self, &setup, self.roles()[0], &Device::flex())?;
        let functions = instance.load(|store, component| self.indices().plugin.load(store, component))?;
        let text = instance.call("config-schema", || None, |store| functions.call_config_schema(store).map(Ok))?;
        accepted(&instance, "config-schema", || None, || given::schema(&text))
    }

    /// `given` checked against the plugin's schema, with defaults filled in.
    /// `null` is an empty configuration.
    ///
    /// # Errors
    /// The first key that is wrong, with the nearest right one; or, with an empty
    /// path, why the plugin has no schema to check against.
    pub fn resolve_config(&self, given: &Value) -> std::result::Result<Value, Box<ConfigError>> {
        let wrong = |mut errors: Vec<ConfigError>| Box::new(errors.swap_remove(0));
        self.resolve_config_for(given, &Columns::default()).map_err(wrong)
    }

    /// As [`Plugin::resolve_config`], in a run that uses these columns.
    ///
    /// # Errors
    /// Everything that is wrong, never nothing; otherwise as for [`Plugin::resolve_config`].
    pub fn resolve_config_for(&self, given: &Value, columns: &Columns) -> std::result::Result<Value, Vec<ConfigError>> {
        let schema = self
            .schema()
            .map_err(|failure| vec![ConfigError::whole(failure.to_string(), failure.details().help.clone())])?;
        caught(|| retune_schema::resolve(&schema, &columns.fill(&schema, given))).unwrap_or_else(|said| {
            let help = "this is a fault of retune: please report it, with the plugin";
            let message = format!("the host failed over the plugin's schema: {said}");
            Err(vec![ConfigError::whole(message, Some(help.to_owned()))])
        })
    }
}

/// [`Plugin::play`] for the roles of today.
impl Plugin {
    /// An instance in the data path.
    ///
    /// # Errors
    /// As for [`PluginRole::start`](crate::PluginRole::start). So for the other roles.
    pub fn preprocessor(&self, setup: &Setup) -> Result<Box<dyn Preprocessor>> {
        self.play(setup, &Device::flex())
    }

    /// A loss whose tensors are on `device`.
    ///
    /// # Errors
    /// As for [`Plugin::preprocessor`].
    pub fn loss(&self, setup: &Setup, device: &Device) -> Result<Box<dyn Loss>> {
        self.play(setup, device)
    }

    /// A freezing policy.
    ///
    /// # Errors
    /// As for [`Plugin::preprocessor`].
    pub fn policy(&self, setup: &Setup) -> Result<Box<dyn Policy>> {
        self.play(setup, &Device::flex())
    }

    /// A metric whose tensors are on `device`.
    ///
    /// # Errors
    /// As for [`Plugin::preprocessor`].
    pub fn metric(&self, setup: &Setup, device: &Device) -> Result<Box<dyn Metric>> {
        self.play(setup, device)
    }

    /// Its place in the data path: makes one instance per worker thread.
    pub fn stage(&self, setup: Setup) -> Stage {
        let plugin = self.clone();
        Stage {
            name: self.name().to_owned(),
            fingerprint: self.fingerprint(&setup),
            make: Box::new(move || plugin.preprocessor(&setup)),
        }
    }
}
