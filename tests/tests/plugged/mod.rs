//! Built plugins in the sandbox, as roles. Each test file uses a part of it.

#![allow(dead_code)]

use std::path::Path;
use std::sync::OnceLock;

use retune_roles::{Loss, Metric};
use retune_sandbox::{Plugin, Sandbox, Setup};
use retune_tensor::Device;
use serde_json::Value;

/// A plugin and the settings it starts with, defaults filled in.
fn settled(name: &str, config: &Value) -> (Plugin, Setup) {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    let sandbox =
        SANDBOX.get_or_init(|| Sandbox::new(Some(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/plugins/{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run `cargo xtask plugins` first", path.display());
    let plugin = sandbox.load(&path).unwrap();
    let config = plugin.resolve_config(config).unwrap();
    (plugin, Setup::new(config, 7))
}

/// The loss of the plugin `name`, on the CPU.
pub fn loss(name: &str, config: &Value) -> Box<dyn Loss> {
    let (plugin, setup) = settled(name, config);
    plugin.loss(&setup, &Device::flex()).unwrap()
}

/// The metric of the plugin `name`, on the CPU.
pub fn metric(name: &str, config: &Value) -> Box<dyn Metric> {
    let (plugin, setup) = settled(name, config);
    plugin.metric(&setup, &Device::flex()).unwrap()
}
