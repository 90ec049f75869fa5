//! From a specification to the modules of one model.
//!
//! A pattern takes a module by its name, by the last segments of it (as in `peft`), or as a glob. One that takes nothing is
//! an error with the nearest names.

use std::collections::{BTreeMap, BTreeSet};

use super::module::{Module, ModuleKind};
use super::spec::{ALL_LINEAR, AdapterMethod, AdapterSpec, InitLoraWeights};
use crate::model::ModelError;
use crate::model::pattern::{Patterns, nearest_names};

/// What sits beside one module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::model) struct Placement {
    pub(in crate::model) r: usize,
    pub(in crate::model) lora_alpha: f64,
    pub(in crate::model) scale: f64,
    pub(in crate::model) dropout: f64,
    pub(in crate::model) dora: bool,
    pub(in crate::model) start: InitLoraWeights,
}

/// Which modules get what, and which parameters are trained whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::model) struct Placements {
    modules: BTreeMap<String, Placement>,
    whole: BTreeSet<String>,
}

impl Placements {
    /// For a model with these `modules` and `parameters`; those named in `always` are trained whole in any case.
    ///
    /// # Errors
    /// Names the key of the specification, what it says, and the nearest names.
    pub(in crate::model) fn of(
        spec: &AdapterSpec,
        modules: &[Module],
        parameters: &[&str],
        always: BTreeSet<String>,
    ) -> Result<Self, ModelError> {
        spec.check()?;
        let whole = whole(&spec.modules_to_save, modules, parameters, always)?;
        let is_whole = |module: &Module| whole.contains(&format!("{}.weight", module.name));
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        for pattern in &spec.target_modules {
            if pattern == ALL_LINEAR {
                let linear = modules.iter().filter(|m| m.kind == ModuleKind::Linear && !is_whole(m));
                taken.extend(linear.map(|m| m.name.as_str()));
                continue;
            }
            let glob = Glob::new("target_modules", pattern)?;
            let hits: Vec<&Module> = modules.iter().filter(|m| glob.takes(&m.name)).collect();
            if hits.is_empty() {
                return Err(matches_nothing("target_modules", pattern, modules, "linear layer or table"));
            }
            if hits.iter().all(|module| is_whole(module)) {
                return Err(ModelError::adapter(
                    "target_modules",
                    format!(
                        "`{pattern}` is trained whole (modules_to_save, or the head of a classifier), so no adapter sits there"
                    ),
                    "leave it out of target_modules, or out of modules_to_save",
                ));
            }
            taken.extend(hits.into_iter().filter(|m| !is_whole(m)).map(|m| m.name.as_str()));
        }
        let ranks = Overrides::new("rank_pattern", &spec.rank_pattern, modules, &taken)?;
        let alphas = Overrides::new("alpha_pattern", &spec.alpha_pattern, modules, &taken)?;
        let mut places = BTreeMap::new();
        let principal = spec.init_lora_weights.is_principal();
        let taken_modules = || modules.iter().filter(|module| taken.contains(module.name.as_str()));
        if principal && taken_modules().all(|module| module.kind == ModuleKind::Table) {
            return Err(ModelError::adapter(
                "init_lora_weights",
                format!(
                    "`{}` is how linear layers start, and target_modules takes tables of embeddings alone",
                    String::from(spec.init_lora_weights)
                ),
                "add linear layers to target_modules, or leave it out",
            ));
        }
        for module in taken_modules() {
            let dora = spec.method == AdapterMethod::Dora;
            if dora && module.kind != ModuleKind::Linear {
                let what = if module.kind == ModuleKind::Table { "a table of embeddings" } else { "the output head" };
                return Err(ModelError::adapter(
                    "method",
                    format!("dora is not computed on {what} (`{}`)", module.name),
                    "take method = \"lora\", or leave it out of target_modules",
                ));
            }
            let r = ranks.of(&module.name).unwrap_or(spec.r);
            let lora_alpha = alphas.of(&module.name).unwrap_or(spec.lora_alpha);
            let most = module.input.min(module.output);
            if principal && module.kind != ModuleKind::Table && r > most {
                return Err(ModelError::adapter(
                    if ranks.of(&module.name).is_some() { "rank_pattern" } else { "r" },
                    format!(
                        "`{}` starts a rank of {r} from as many singular vectors, and the matrix of `{}` has {most}",
                        String::from(spec.init_lora_weights),
                        module.name
                    ),
                    &format!("give it a rank of at most {most} (rank_pattern, for some modules), or another start"),
                ));
            }
            let placement = Placement {
                r,
                lora_alpha,
                scale: spec.scale(r, lora_alpha),
                dropout: spec.lora_dropout,
                dora,
                start: spec.init_lora_weights,
            };
            places.insert(module.name.clone(), placement);
        }
        Ok(Self { modules: places, whole })
    }

    /// What sits beside the module called `name`.
    pub(in crate::model) fn get(&self, name: &str) -> Option<Placement> {
        self.modules.get(name).copied()
    }

    /// Whether the parameter called `name` is trained whole.
    pub(in crate::model) fn is_whole(&self, name: &str) -> bool {
        self.whole.contains(name)
    }
}

/// Names of the parameters that are trained whole.
fn whole(
    patterns: &[String],
    modules: &[Module],
    parameters: &[&str],
    always: BTreeSet<String>,
) -> Result<BTreeSet<String>, ModelError> {
    let mut whole = always;
    for pattern in patterns {
        let glob = Glob::new("modules_to_save", pattern)?;
        let within = |name: &&&str| ancestors(name).skip(1).any(|module| glob.takes(module));
        let mut hits = parameters.iter().filter(within).peekable();
        if hits.peek().is_none() {
            let own = |module: &Module| parameters.contains(&format!("{}.weight", module.name).as_str());
            if let Some(tied) = modules.iter().find(|module| glob.takes(&module.name) && !own(module)) {
                return Err(ModelError::adapter(
                    "modules_to_save",
                    format!("`{}` has no weights of its own: it is the token table (tie_word_embeddings)", tied.name),
                    "name the token table, which trains both, or put `lm_head` into target_modules",
                ));
            }
            let inside: Vec<&str> = parameters.iter().filter_map(|name| ancestors(name).nth(1)).collect();
            return Err(takes_nothing("modules_to_save", pattern, &inside, "module", String::new()));
        }
        whole.extend(hits.map(|name| (*name).to_owned()));
    }
    Ok(whole)
}

/// A pattern over names of modules.
struct Glob<'a> {
    pattern: &'a str,
    glob: Patterns,
}

impl<'a> Glob<'a> {
    fn new(key: &str, pattern: &'a str) -> Result<Self, ModelError> {
        let glob = Patterns::new(&[pattern.to_owned()]).map_err(|error| {
            ModelError::adapter(
                key,
                error.to_string(),
                "name modules by their last segments (`q_proj`) or by globs (`layers.{0..3}`)",
            )
        })?;
        Ok(Self { pattern, glob })
    }

    fn takes(&self, name: &str) -> bool {
        let last = name.strip_suffix(self.pattern).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        last || self.glob.matches(name)
    }
}

/// Values for some of the modules.
struct Overrides<'a, T>(Vec<(Glob<'a>, T)>);

impl<'a, T: Copy> Overrides<'a, T> {
    fn new(
        key: &str,
        patterns: &'a BTreeMap<String, T>,
        modules: &[Module],
        taken: &BTreeSet<&str>,
    ) -> Result<Self, ModelError> {
        let mut list = Vec::new();
        for (pattern, value) in patterns {
            let glob = Glob::new(key, pattern)?;
            if !taken.iter().any(|name| glob.takes(name)) {
                let modules: Vec<Module> =
                    modules.iter().filter(|m| taken.contains(m.name.as_str())).cloned().collect();
                return Err(matches_nothing(key, pattern, &modules, "module with an adapter"));
            }
            list.push((glob, *value));
        }
        list.sort_by_key(|(glob, _)| std::cmp::Reverse(glob.pattern.len()));
        Ok(Self(list))
    }

    fn of(&self, name: &str) -> Option<T> {
        self.0.iter().find(|(glob, _)| glob.takes(name)).map(|(_, value)| *value)
    }
}

/// `name` and each of its leading parts, longest first.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |part| part.rfind('.').map(|dot| &part[..dot]))
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn matches_nothing(key: &str, pattern: &str, modules: &[Module], what: &str) -> ModelError {
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let called: BTreeSet<&str> = names.iter().map(|name| last(name)).collect();
    let called: Vec<String> = called.into_iter().take(12).map(|name| format!("`{name}`")).collect();
    takes_nothing(key, pattern, &names, what, format!("they are called {}", called.join(", ")))
}

fn takes_nothing(key: &str, pattern: &str, names: &[&str], what: &str, called: String) -> ModelError {
    let ends: BTreeSet<&str> = names.iter().map(|name| last(name)).collect();
    let near = match nearest_names(pattern, &ends.into_iter().collect::<Vec<_>>()) {
        near if near.is_empty() => nearest_names(pattern, names),
        near => near,
    };
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    let near = match &near[..] {
        [] => String::new(),
        [one] => format!("; the nearest name is {one}"),
        several => format!("; the nearest names are {}", several.join(", ")),
    };
    ModelError::Adapter {
        key: key.to_owned(),
        problem: format!("`{pattern}` takes no {what} of this model{near}"),
        help: Some(called).filter(|called| !called.is_empty()),
    }
}

#[cfg(test)]
#[path = "placements_tests.rs"]
mod tests;
