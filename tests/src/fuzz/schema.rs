//! The JSON Schema of a plugin, and a configuration for it.
//!
//! The input is both, separated by a line of dashes. Laws: what is accepted resolves to itself; each error is a bounded line;
//! the time is bounded whatever the schema asks for.

use retune_roles::text::is_line;
use retune_schema::{affordable, describe, resolve};
use serde_json::Value;

use super::{check_told, parts};

/// Resolves a configuration; panics when a law is broken.
pub fn schema(data: &[u8]) {
    let [schema, config] = parts(data);
    let Ok(schema) = serde_json::from_slice::<Value>(schema) else { return };
    let config = serde_json::from_slice(config).unwrap_or_default();
    if let Err(reason) = affordable(&schema) {
        check_told(&reason);
    }
    match resolve(&schema, &config) {
        Ok(resolved) => {
            let again = resolve(&schema, &resolved);
            assert!(again.as_ref() == Ok(&resolved), "{resolved} resolves to {again:?}");
            for setting in describe::settings(&schema) {
                assert!(format!("{setting:?}").len() < 1 << 20, "a setting is described at length");
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            for error in errors {
                for told in [error.to_string(), error.help().unwrap_or_default()] {
                    check_told(&told);
                    assert!(is_line(&told), "not a line: {told:?}");
                }
            }
        }
    }
}
