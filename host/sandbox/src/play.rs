//! How a plugin takes up a role: one trait for all, implemented beside each adapter.

use retune_roles::{Result, Role};
use retune_tensor::Device;

use crate::plugin::{Plugin, Setup};

/// A role that a plugin can play.
pub trait PluginRole: Role {
    /// An instance of `plugin` in this role, whose tensors, where the role has any, are on `device`.
    ///
    /// # Errors
    /// When the plugin does not play the role, traps, refuses its configuration, or describes itself against
    /// the contract.
    fn start(plugin: &Plugin, setup: &Setup, device: &Device) -> Result<Box<Self>>;
}

impl Plugin {
    /// An instance in the role `R`: `plugin.play::<dyn Loss>(&setup, &device)`. Each call gives one of its own.
    ///
    /// # Errors
    /// As for [`PluginRole::start`].
    pub fn play<R: PluginRole + ?Sized>(&self, setup: &Setup, device: &Device) -> Result<Box<R>> {
        R::start(self, setup, device)
    }
}
