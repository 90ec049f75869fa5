//! Embeds every `host/recipes/*.toml`, sorted by name.

use std::fmt::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Read when it runs: a target directory may serve several checkouts.
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../recipes");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let mut code = String::from("/// All of them, by name.\npub const RECIPES: &[Embedded] = &[\n");
    for path in files {
        let name = path.file_stem().and_then(|s| s.to_str()).ok_or("a recipe's name is not UTF-8")?;
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(code, "    Embedded {{ name: {name:?}, text: include_str!({path:?}) }},")?;
    }
    code.push_str("];\n");
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("recipes.rs"), code)?;
    Ok(())
}
