//! From text to a component.

use std::fs;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Function, FunctionKind, Resolve};

use crate::layers::Layers;
use crate::macros::forms;

const PACKAGE: &str = "retune:plugin";
const VERSION: &str = "0.1.0";

/// Interfaces of the contract that a guest may call.
const IMPORTS: [&str; 5] = ["logging", "tokenizer", "tensor", "fused", "batch"];

/// A component that is written out.
pub fn whole(text: &str) -> Result<Vec<u8>, String> {
    wat::parse_str(forms(text)?.join("\n")).map_err(|error| error.to_string())
}

/// A component that is written out but for what makes it a plugin.
pub fn wrapped(workspace: &Path, text: &str) -> Result<Vec<u8>, String> {
    whole(&format!("(component $attack\n{text}\n{}\n)", honest(workspace, "shell")?))
}

/// A layer of `tests/assemble/honest`.
fn honest(workspace: &Path, name: &str) -> Result<String, String> {
    let path = workspace.join("tests/assemble/honest").join(format!("{name}.wat"));
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A core module laid over honest plugins, made a component of the contract.
pub fn laid(workspace: &Path, text: &str, plays: &[&str]) -> Result<Vec<u8>, String> {
    let below = std::iter::once("plugin").chain(plays.iter().copied()).map(|name| honest(workspace, name));
    let below = below.collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<&str> = below.iter().map(String::as_str).chain([text]).collect();
    let layers = Layers::of(&layers)?;

    let told = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let mut contract = Resolve::default();
    contract.push_dir(workspace.join("wit")).map_err(|error| told(&error))?;
    let world = contract.push_str("hostile.wit", &world(&layers)).map_err(|error| told(&error))?;
    let world = contract.select_world(&[world], Some("attack")).map_err(|error| told(&error))?;

    let module = layers.module(|name| import(&contract, name), expanded)?;
    let mut module = wat::parse_str(&module).map_err(|error| error.to_string())?;
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).map_err(|error| told(&error))?;
    let encoder = ComponentEncoder::default().module(&module).map_err(|error| told(&error))?;
    encoder.validate(false).encode().map_err(|error| told(&error))
}

/// The world of a plugin that exports what these layers do.
fn world(layers: &Layers) -> String {
    let import = |name: &&str| format!("import {PACKAGE}/{name}@{VERSION};");
    let export = |name: &&str| format!("export {PACKAGE}/{name}@{VERSION};");
    let imports: Vec<String> = IMPORTS.iter().map(import).collect();
    let exports: Vec<String> = layers.exports().iter().map(export).collect();
    format!("package retune:hostile;\nworld attack {{\n{}\n{}\n}}\n", imports.join("\n"), exports.join("\n"))
}

/// `loss#wants` as the component model writes it.
fn expanded(export: &str) -> String {
    let (before, rest) = export.strip_prefix("cabi_post_").map_or(("", export), |rest| ("cabi_post_", rest));
    let (interface, function) = rest.split_once('#').unwrap_or((rest, ""));
    format!("{before}{PACKAGE}/{interface}@{VERSION}#{function}")
}

/// The form that imports `tensor.sum`, `logging.log` or, to drop a handle, `drop.tensor`.
fn import(contract: &Resolve, name: &str) -> Option<String> {
    let (interface, function) = name.split_once('.')?;
    if interface == "drop" {
        let module = format!("{PACKAGE}/{function}@{VERSION}");
        return Some(format!("(import \"{module}\" \"[resource-drop]{function}\" (func ${name} (param i32)))"));
    }
    let module = format!("{PACKAGE}/{interface}@{VERSION}");
    let found = contract.interfaces.iter().find(|(_, i)| i.name.as_deref() == Some(interface))?.1;
    let method = format!("[method]{interface}.{function}");
    let found = found.functions.get(&method).or_else(|| found.functions.get(function))?;
    let (params, results) = signature(contract, found);
    Some(format!("(import \"{module}\" \"{}\" (func ${name} {params} {results}))", found.name))
}

fn signature(contract: &Resolve, function: &Function) -> (String, String) {
    debug_assert!(!matches!(function.kind, FunctionKind::Constructor(_)), "the contract has none");
    let signature = contract.wasm_signature(AbiVariant::GuestImport, function);
    let name = |kind: &WasmType| match kind {
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
    };
    let list = |word: &str, kinds: &[WasmType]| match kinds {
        [] => String::new(),
        kinds => format!("({word} {})", kinds.iter().map(name).collect::<Vec<_>>().join(" ")),
    };
    (list("param", &signature.params), list("result", &signature.results))
}
