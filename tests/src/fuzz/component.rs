//! The bytes of a component.
//!
//! The input is compiled in this process, where the limits of the system do not hold, so that thousands are looked at. Laws: a plugin
//! or a reason; a plugin answers what it imports, and gives a schema or a failure, within its limits.

use std::io::Write as _;
use std::sync::OnceLock;

use retune_sandbox::{LoadError, Sandbox};

use super::check_told;

/// Loads a component and asks for its schema; panics when a law is broken.
pub fn component(data: &[u8]) {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    let sandbox = SANDBOX.get_or_init(|| Sandbox::new(None).unwrap());
    let mut file = tempfile::Builder::new().suffix(".wasm").tempfile().unwrap();
    file.write_all(data).unwrap();
    match sandbox.load_within(file.path(), 64) {
        Ok(plugin) => {
            plugin.imports().iter().for_each(|import| check_told(import));
            if let Err(failure) = plugin.schema() {
                check_told(&failure.to_string());
                assert!(failure.to_string().contains(plugin.name()), "{failure} does not name the plugin");
            }
        }
        Err(error) => told(&error),
    }
}

fn told(error: &LoadError) {
    check_told(&error.to_string());
    check_told(&error.help().unwrap_or_default());
}
