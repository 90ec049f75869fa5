//! Folders that inputs are written to, and the small models that lie beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A folder with `files` in it, which goes away with the value.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// The files of a small model.
pub struct SmallModel {
    /// Its `config.json`.
    pub config: Vec<u8>,
    /// Its `model.safetensors`.
    pub weights: Vec<u8>,
}

/// The model called `name` of `tests/fixtures/families`, one of each family; the smallest when there is none of that name.
pub fn small_model(name: &str) -> &'static SmallModel {
    static MODELS: OnceLock<BTreeMap<String, SmallModel>> = OnceLock::new();
    let models = MODELS.get_or_init(|| {
        let read = |folder: PathBuf| {
            let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
            let model = SmallModel { config: file("config.json"), weights: file("model.safetensors") };
            (folder.file_name().unwrap().to_string_lossy().into_owned(), model)
        };
        let folders = std::fs::read_dir(tests().join("fixtures/families")).unwrap();
        folders.map(|folder| read(folder.unwrap().path())).collect()
    });
    models.get(name).unwrap_or_else(|| models.values().min_by_key(|model| model.weights.len()).unwrap())
}

/// The folder `tests` of this checkout.
pub fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
