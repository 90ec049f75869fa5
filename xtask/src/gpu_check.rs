//! One folder that checks retune on a machine with a GPU but without Rust.
//!
//! `target/gpu-check/` holds `run.sh` and `payload.tar.xz`: the release binary with the feature `cuda`, five plugins, the
//! quickstart, chats for a run with LoRA, what transformers and peft gave for small models of every family, the shape of SmolLM2-135M,
//! and a PyTorch step to compare with. Copy it over and run `./run.sh`, which says what is compared; most of it is `retune
//! self-check`. The dry run lays out the same files under `target/gpu-check-dry/`, with the development build, and runs the same script
//! on this machine's processor, where the operations that a GPU runs are compared with the CPU's kernels.
//!
//! Needs `python3` here to pack, and `python3` with PyTorch where it runs.

use std::fs;
use std::path::Path;

use crate::command::{self, Failed};
use crate::plugins;
use crate::workspace::Workspace;

/// What the folder may weigh, so that it is quick to carry.
const LARGEST_MIB: u64 = 60;

const PLUGINS: &[&str] = &["classification-report", "dedup", "focal", "gradual-unfreezing", "text-clean"];
/// Of `tests/fixtures`: models and adapters, and folders of them, with what transformers and peft gave.
const FIXTURES: &[&str] = &[
    "adapters",
    "bert-tiny",
    "families",
    "generation",
    "llama-classifier-tiny",
    "llama-tiny",
    "llama-tiny-bf16-sharded",
    "peft",
    "row-tasks",
    "token-tasks",
];
/// What of them is left behind: an adapter that retune refuses, and results of models that are not among them.
const LEFT_BEHIND: &[&str] = &["peft/untied-saved", "generation/smollm2.json", "generation/processors.json"];

/// Packs the folder named by the second argument into the archive named by the first, highly compressed.
const PACK: &str = "\
import sys, tarfile
with tarfile.open(sys.argv[1], 'w:xz', preset=6) as archive:
    archive.add(sys.argv[2], arcname='.')
";

/// Builds the binary with CUDA and writes the folder.
pub fn folder(workspace: &Workspace) -> Result<(), Failed> {
    plugins::build(workspace)?;
    command::run(&mut workspace.cargo(["build", "--release", "--package", "retune", "--features", "cuda"]))?;
    let folder = workspace.path("target/gpu-check");
    let payload = workspace.path("target/gpu-check-payload");
    fresh(&folder)?;
    fresh(&payload)?;
    lay_out(workspace, &workspace.retune("release"), &payload)?;
    copy(&workspace.path("xtask/gpu-check/run.sh"), &folder.join("run.sh"))?;
    let archive = folder.join("payload.tar.xz");
    command::run(workspace.command("python3").args(["-c", PACK]).arg(&archive).arg(&payload))?;

    let bytes = fs::metadata(&archive).map_err(|error| Failed::file("measure", &archive, &error))?.len();
    let mib = bytes.div_ceil(1 << 20);
    if mib >= LARGEST_MIB {
        return Err(Failed::new(format!("{} weighs {mib} MiB; it may weigh {LARGEST_MIB}", archive.display())));
    }
    println!("{} weighs {mib} MiB; copy it to the machine and run ./run.sh", folder.display());
    Ok(())
}

/// The same script on the processor.
pub fn dry_run(workspace: &Workspace) -> Result<(), Failed> {
    plugins::build(workspace)?;
    command::run(&mut workspace.cargo(["build", "--package", "retune"]))?;
    let folder = workspace.path("target/gpu-check-dry");
    fresh(&folder)?;
    lay_out(workspace, &workspace.retune("debug"), &folder)?;
    copy(&workspace.path("xtask/gpu-check/run.sh"), &folder.join("run.sh"))?;
    command::run(workspace.command(folder.join("run.sh")).arg("cpu"))
}

/// Everything `run.sh` uses, where it and the recipe look for it.
fn lay_out(workspace: &Workspace, binary: &Path, folder: &Path) -> Result<(), Failed> {
    copy(binary, &folder.join("retune"))?;
    copy(&workspace.path("tests/reference/step_torch.py"), &folder.join("step_torch.py"))?;
    for file in ["smollm.json", "step-gpu.json", "to_bfloat16.py"] {
        copy(&workspace.path("xtask/gpu-check").join(file), &folder.join(file))?;
    }
    copy_folder(&workspace.path("xtask/gpu-check/chat"), &folder.join("chat"))?;
    copy(&workspace.path("host/recipes/pretraining/config.json"), &folder.join("step-cpu.json"))?;
    for plugin in PLUGINS {
        let file = format!("target/plugins/{plugin}.wasm");
        copy(&workspace.path(&file), &folder.join(&file))?;
    }
    let recipe = "host/recipes/quickstart.toml";
    copy(&workspace.path(recipe), &folder.join(recipe))?;
    copy_folder(&workspace.path("host/recipes/quickstart"), &folder.join("host/recipes/quickstart"))?;
    for fixture in FIXTURES {
        copy_folder(&workspace.path(format!("tests/fixtures/{fixture}")), &folder.join("fixtures").join(fixture))?;
    }
    LEFT_BEHIND.iter().try_for_each(|name| remove(&folder.join("fixtures").join(name)))
}

fn fresh(folder: &Path) -> Result<(), Failed> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| Failed::file("empty", folder, &error))?;
    }
    fs::create_dir_all(folder).map_err(|error| Failed::file("make", folder, &error))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failed> {
    for entry in fs::read_dir(from).map_err(|error| Failed::file("list", from, &error))? {
        let path = entry.map_err(|error| Failed::file("list", from, &error))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() { copy_folder(&path, &to.join(name))? } else { copy(&path, &to.join(name))? }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Failed> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(|error| Failed::file("remove", path, &error))
}

/// Copies a file, with its permissions, and makes the folders above it.
fn copy(from: &Path, to: &Path) -> Result<(), Failed> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| Failed::file("make", folder, &error))?;
    }
    fs::copy(from, to).map(drop).map_err(|error| Failed::file("copy", from, &error))
}
