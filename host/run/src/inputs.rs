//! What a run began with, written down and compared when it goes on.

use std::path::PathBuf;

use retune_data::{Prepared, SourceReport};
use retune_train::TrainEvent;
use retune_train::model::{LoadReport, Model};

use crate::Reporter;
use crate::assembly::Assembly;
use crate::events::{EventLog, now};
use crate::manifest::{FileFacts, Manifest, ModelFacts, RoleFacts, adapter_facts, base_facts};
use crate::run_dir::RunDir;
use crate::{machine, plan};
use retune_recipe::Recipe;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_recipe::sections::Chat;

/// The manifest of a run that begins now with `model`.
pub fn manifest(
    recipe: &Recipe,
    assembly: &Assembly,
    prepared: &Prepared,
    model: &Model,
    loaded: LoadReport,
    device: String,
) -> Result<Manifest> {
    let (parameters, trainable) = plan::sizes(model);
    let new = loaded.new.into_iter().chain(loaded.replaced.into_iter().map(|(name, _)| name)).collect();
    Ok(Manifest {
        name: recipe.name.clone(),
        retune: env!("CARGO_PKG_VERSION").to_owned(),
        started: now(),
        seed: recipe.seed,
        task: recipe.model.task.as_str().to_owned(),
        labels: prepared.labels.clone(),
        hardware: machine::hardware(device),
        model: ModelFacts {
            architecture: plan::architecture(model).to_owned(),
            parameters,
            trainable,
            new,
            unused: loaded.unused,
        },
        base: base_facts(recipe.model.start().path())?,
        adapter: adapter_facts_of(recipe)?,
        tokenizer: prepared.report.tokenizer_digest.clone(),
        data: data_facts(recipe, prepared)?,
        roles: assembly.roles.facts(),
    })
}

/// Tells of plugins that were changed since the run began, which is allowed and never silent.
pub fn tell_changed_plugins(
    run_dir: &RunDir,
    roles: Vec<RoleFacts>,
    log: &mut EventLog,
    console: &dyn Reporter,
) -> Result<()> {
    let mut manifest = Manifest::read(&run_dir.manifest())?;
    let changed = manifest.changed_plugins(&roles);
    for message in &changed {
        console.warning(message);
        log.write(&TrainEvent::Warning { step: 0, message: message.clone() })?;
    }
    if !changed.is_empty() {
        manifest.roles = roles;
        manifest.write(&run_dir.manifest())?;
    }
    Ok(())
}

/// Refuses to go on with other rows, another tokenizer or another base than the run began with. Only
/// the bytes count: a project may be moved.
pub fn same_inputs(run_dir: &RunDir, recipe: &Recipe, prepared: &Prepared) -> Result<()> {
    let then = Manifest::read(&run_dir.manifest())?;
    let now = [data_facts(recipe, prepared)?, base_facts(recipe.model.start().path())?, adapter_facts_of(recipe)?];
    let pairs =
        [&then.data, &then.base, &then.adapter].into_iter().zip(&now).flat_map(|(then, now)| then.iter().zip(now));
    for (then, now) in pairs {
        if then.sha256 != now.sha256 {
            return Err(Diagnostic::new(format!(
                "`{}` is not what the run in `{}` began with: sha256 {} then, {} now",
                now.path.display(),
                run_dir.root().display(),
                then.sha256,
                now.sha256
            ))
            .help("put the file back as it was, or start a new run without --resume"));
        }
    }
    if then.tokenizer != prepared.report.tokenizer_digest {
        return Err(Diagnostic::new(format!(
            "the tokenizer in `{}` is not the one the run in `{}` began with",
            recipe.model.tokenizer.display(),
            run_dir.root().display()
        ))
        .help("put its files back as they were, or start a new run without --resume"));
    }
    Ok(())
}

/// The files of the adapter that a run goes on from.
fn adapter_facts_of(recipe: &Recipe) -> Result<Vec<FileFacts>> {
    recipe.adapter.as_ref().and_then(|adapter| adapter.from.as_deref()).map_or(Ok(Vec::new()), adapter_facts)
}

/// The files that rows are made of: data, and a chat template that is a file.
fn data_facts(recipe: &Recipe, prepared: &Prepared) -> Result<Vec<FileFacts>> {
    let facts = |source: &SourceReport| FileFacts {
        path: PathBuf::from(&source.path),
        sha256: source.sha256.clone(),
        bytes: source.bytes,
    };
    let template = recipe.data.chat.as_ref().and_then(Chat::template_file).map(crate::manifest::facts);
    prepared.report.sources.iter().map(facts).map(Ok).chain(template).collect()
}
