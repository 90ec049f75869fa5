//! The optional `checkpoint` interface: a plugin's state between runs.

use retune_roles::Result;

use crate::bindings::guest::checkpoint::Guest;
use crate::given;
use crate::instance::{Instance, accepted};
use crate::plugin::Plugin;

/// Largest state, in bytes. It is written at every checkpoint.
const LARGEST: usize = 64 << 20;

/// Its functions, for a plugin that has them.
pub(crate) struct Checkpoint(Option<Guest>);

impl Checkpoint {
    pub(crate) fn find(plugin: &Plugin, instance: &mut Instance) -> Result<Self> {
        let Some(indices) = &plugin.indices().checkpoint else { return Ok(Self(None)) };
        instance.load(|store, component| indices.load(store, component)).map(|found| Self(Some(found)))
    }

    pub(crate) fn save(&self, instance: &mut Instance) -> Result<Option<Vec<u8>>> {
        let Some(functions) = &self.0 else { return Ok(None) };
        let state = instance.call("save", || None, |store| functions.call_save(store))?;
        accepted(instance, "save", || None, || given::kept(state, LARGEST, "state")).map(Some)
    }

    pub(crate) fn load(&self, instance: &mut Instance, state: &[u8]) -> Result<()> {
        match &self.0 {
            Some(functions) => instance.call("load", || None, |store| functions.call_load(store, state)),
            None => Err(instance
                .misbehaved("load", "the checkpoint holds state of this plugin, but it does not export `checkpoint`")
                .help("resume with the version of the plugin that wrote the checkpoint")),
        }
    }
}
