//! Which roles a component plays, and whether it asks for more than there is.
//!
//! Both are read from the component's type, never from a manifest. The empty WASI
//! (see [`crate::wasi`]) answers everything a standard library imports by habit;
//! what cannot be answered by nothing is refused by name before any code runs.
//! The network is refused even though a socket could be made to fail when it is
//! used: a plugin that was built with it says so here, not in the tenth hour.

use std::path::Path;

use retune_roles::RoleKind;
use retune_roles::text::line;
use wasmtime::component::types::Component as ComponentType;
use wasmtime::{Engine, Result as Outcome};

use crate::error::LoadError;
use crate::given::{NAME, SENTENCE};

/// The contract's package and version.
pub(crate) const PACKAGE: &str = "retune:plugin";
pub(crate) const VERSION: &str = "0.1.0";

/// Interfaces of the contract that the host offers.
const OFFERED: [&str; 6] = ["types", "logging", "tokenizer", "tensor", "fused", "batch"];

/// Packages of the empty WASI.
const WASI: [&str; 5] = ["wasi:cli", "wasi:io", "wasi:clocks", "wasi:filesystem", "wasi:random"];

/// A component's imports and exports, by name.
pub(crate) struct Shape {
    pub imports: Vec<String>,
    exports: Vec<String>,
}

impl Shape {
    pub(crate) fn of(component: &ComponentType, engine: &Engine) -> Self {
        let imports = component.imports(engine).map(|(name, _)| line(name, NAME)).collect();
        let exports = component.exports(engine).map(|(name, _)| line(name, NAME)).collect();
        Self { imports, exports }
    }

    /// Whether it exports an interface of the contract, in any compatible version.
    pub(crate) fn exports(&self, interface: &str) -> bool {
        self.exports.iter().any(|name| {
            let (package, found, version) = split(name);
            package == PACKAGE && found == interface && compatible(version)
        })
    }

    /// The roles it plays.
    pub(crate) fn roles(&self, path: &Path) -> Result<Vec<RoleKind>, LoadError> {
        let no_role = |reason: String| LoadError::NoRole { path: path.to_owned(), reason };
        let roles: Vec<_> = RoleKind::ALL.into_iter().filter(|role| self.exports(role.name())).collect();
        if let Some(other) = self.exports.iter().find(|name| split(name).0 == PACKAGE && !compatible(split(name).2)) {
            return Err(LoadError::Contract {
                path: path.to_owned(),
                reason: format!("it exports {other}, this host speaks version {VERSION}"),
            });
        }
        match (roles.is_empty(), self.exports("plugin")) {
            (false, true) => Ok(roles),
            (false, false) => Err(no_role(format!("it exports `{}` but not `{PACKAGE}/plugin`", roles[0]))),
            (true, _) if self.exports.is_empty() => Err(no_role("it exports nothing".into())),
            (true, _) => Err(no_role(line(&format!("it exports {}", self.exports.join(", ")), SENTENCE))),
        }
    }

    /// Refuses the first import that nothing here can answer.
    pub(crate) fn check_imports(&self, path: &Path) -> Result<(), LoadError> {
        self.imports.iter().try_for_each(|import| check(import, path))
    }
}

fn check(import: &str, path: &Path) -> Result<(), LoadError> {
    let (package, interface, version) = split(import);
    let refuse = |reason: String, help: String| {
        Err(LoadError::Import { path: path.to_owned(), import: import.to_owned(), reason, help })
    };
    match package {
        PACKAGE if !compatible(version) => refuse(
            format!("this host speaks version {VERSION} of the contract"),
            "build it against the wit/ of this version of retune".into(),
        ),
        PACKAGE if OFFERED.contains(&interface) => Ok(()),
        PACKAGE => refuse(
            "this host does not offer that interface".into(),
            format!("the interfaces it offers are {}", OFFERED.join(", ")),
        ),
        "wasi:sockets" | "wasi:http" | "wasi:tls" => {
            Err(LoadError::Network { path: path.to_owned(), import: import.to_owned() })
        }
        _ if WASI.contains(&package) && version.starts_with("0.2.") => Ok(()),
        _ if WASI.contains(&package) => refuse(
            format!("this host has {package} in version 0.2 only"),
            "build it for wasm32-wasip2, or with a toolchain for WASI 0.2".into(),
        ),
        _ => refuse(
            "this host does not have it".into(),
            format!("a plugin may import {PACKAGE} and an empty WASI ({}), nothing else", WASI.join(", ")),
        ),
    }
}

/// `a:b/c@1.2.3` as package, interface, version.
fn split(name: &str) -> (&str, &str, &str) {
    let (name, version) = name.split_once('@').unwrap_or((name, ""));
    let (package, interface) = name.split_once('/').unwrap_or((name, ""));
    (package, interface, version)
}

/// 0.1.x: imports grow by adding within it.
fn compatible(version: &str) -> bool {
    version.starts_with("0.1.")
}

/// One sentence from wasmtime's error about types that do not fit.
pub(crate) fn mismatch(error: &wasmtime::Error) -> String {
    line(&format!("{error:#}"), SENTENCE)
}

/// The type's answer as a contract error of `path`.
pub(crate) fn fits<T>(outcome: Outcome<T>, path: &Path) -> Result<T, LoadError> {
    outcome.map_err(|error| LoadError::Contract { path: path.to_owned(), reason: mismatch(&error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(import: &str) -> Option<String> {
        check(import, Path::new("x.wasm")).err().map(|e| e.to_string())
    }

    #[test]
    fn what_a_standard_library_imports_is_answered() {
        for import in ["wasi:io/streams@0.2.6", "wasi:cli/stderr@0.2.3", "wasi:filesystem/preopens@0.2.0"] {
            assert_eq!(refusal(import), None);
        }
        assert_eq!(refusal("retune:plugin/tensor@0.1.7"), None);
    }

    #[test]
    fn what_nothing_can_answer_is_refused_by_name() {
        insta::assert_snapshot!(refusal("wasi:sockets/tcp@0.2.6").unwrap(), @"x.wasm asks for wasi:sockets/tcp@0.2.6: plugins have no network");
        insta::assert_snapshot!(refusal("wasi:http/types@0.2.10").unwrap(), @"x.wasm asks for wasi:http/types@0.2.10: plugins have no network");
        insta::assert_snapshot!(refusal("acme:gpu/kernel").unwrap(), @"x.wasm asks for acme:gpu/kernel: this host does not have it");
        insta::assert_snapshot!(refusal("wasi:cli/stdin@0.3.0").unwrap(), @"x.wasm asks for wasi:cli/stdin@0.3.0: this host has wasi:cli in version 0.2 only");
        insta::assert_snapshot!(refusal("retune:plugin/tensor@0.2.0").unwrap(), @"x.wasm asks for retune:plugin/tensor@0.2.0: this host speaks version 0.1.0 of the contract");
        insta::assert_snapshot!(refusal("retune:plugin/collective@0.1.0").unwrap(), @"x.wasm asks for retune:plugin/collective@0.1.0: this host does not offer that interface");
    }
}
