//! The whole recipe as a value, and where its parts were written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smart_default::SmartDefault;

use crate::diagnostic::Diagnostic;
use crate::place::{Place, Places, SET, Source, child, deepest, pointer};
use crate::sections::{self, Adapter, Data, Evaluation, Export, Globs, Model, RoleRef, Strategy, Training};

/// Describes a run: what it starts from, what it learns from, how.
#[derive(Clone, Debug, SmartDefault, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Recipes whose keys are read first; what stands in this file wins. Relative to this file.
    #[schemars(schema_with = "sections::files", extend("x-default" = "none"))]
    #[serde(skip_serializing)]
    include: Globs,
    /// Names the run directory.
    #[schemars(extend("x-default" = "the file's name"))]
    pub name: String,
    /// Seed for all randomness.
    #[default(42)]
    pub seed: u64,
    /// Where to train; auto takes the first GPU that works, else the CPU.
    #[default("auto")]
    #[schemars(extend(
        "pattern" = "^(auto|cpu|cuda(:[0-9]+)?)$",
        "x-kind" = "auto | cpu | cuda:N",
        "x-form" = "not a device",
        "x-write" = "`auto`, `cpu`, `cuda:0`, `cuda:1`, …"
    ))]
    pub device: String,
    /// What to start from.
    #[schemars(extend("x-required" = true, "x-write" = "add [model] with `base` (a Hugging Face directory) and `task`"))]
    pub model: Model,
    /// What to learn from.
    #[schemars(extend("x-required" = true, "x-write" = "add [data] with `train` (a csv, jsonl or txt file)"))]
    pub data: Data,
    /// Trains small matrices beside the base model (LoRA), which stays as it is.
    #[schemars(extend("x-write" = "add [adapter] with method = \"lora\" and `r`"))]
    pub adapter: Option<Adapter>,
    /// Which parameters are trained.
    pub strategy: Strategy,
    /// What is minimised.
    #[schemars(extend("x-default" = "cross-entropy"))]
    pub loss: Option<RoleRef>,
    /// How long, how fast.
    pub training: Training,
    /// How good it is, and when to stop.
    pub evaluation: Evaluation,
    /// A second copy of the result.
    pub export: Option<Export>,
    #[serde(skip)]
    pub(crate) sources: Vec<Source>,
    #[serde(skip)]
    pub(crate) places: Places,
}

impl Recipe {
    /// Tells each role by which key it is named.
    pub(crate) fn name_roles(&mut self) {
        if let Some(loss) = &mut self.loss {
            loss.path = "loss".to_owned();
        }
        let lists = [
            ("data.preprocess", &mut self.data.preprocess),
            ("strategy.policy", &mut self.strategy.policy),
            ("evaluation.metrics", &mut self.evaluation.metrics),
        ];
        for (key, roles) in lists {
            for (i, role) in roles.iter_mut().enumerate() {
                role.path = format!("{key}[{i}]");
            }
        }
    }

    /// Every role it names.
    pub fn roles(&self) -> impl Iterator<Item = &RoleRef> {
        let lists = [&self.data.preprocess, &self.strategy.policy, &self.evaluation.metrics];
        self.loss.iter().chain(lists.into_iter().flatten())
    }

    /// Where `key` (`data.preprocess[0].plugin`) stands, when it was written.
    pub fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(&pointer(key))
    }

    /// The value of `key` as it was written; none for one that was left out.
    pub fn written(&self, key: &str) -> Option<&str> {
        let place = self.place(key)?;
        self.sources.get(place.source)?.text.text.get(place.value.clone())
    }

    /// Where `key` stands, or the deepest part of it that was written.
    pub fn nearest_place(&self, key: &str) -> Option<&Place> {
        deepest(&self.places, &pointer(key))
    }

    /// Where the part of a role's settings at `path` stands, or the deepest part of it that was
    /// written; `table` is `config` or `limits`.
    pub fn setting_place(&self, role: &RoleRef, table: &str, path: &[String]) -> Option<&Place> {
        let table = format!("{}/{table}", pointer(&role.path));
        deepest(&self.places, &path.iter().fold(table, |pointer, key| child(&pointer, key)))
    }

    /// Who set the value at a JSON pointer: `team.toml:12`, `--set`, or `default`.
    pub fn origin(&self, pointer: &str) -> String {
        let text = |place: &Place| self.sources.get(place.source).map(|source| &source.text);
        // A role may be written as a name alone: then the name, one level up, is what set its keys.
        let written = |pointer: &str| {
            let place = self.places.get(pointer)?;
            let table = text(place)?.text.get(place.value.clone())?.starts_with(['[', '{']);
            let under = format!("{pointer}/");
            let has_keys = self.places.range(under.clone()..).next().is_some_and(|(at, _)| at.starts_with(&under));
            (!table && !has_keys).then_some(place)
        };
        let above = || written(&pointer[..pointer.rfind('/')?]);
        let place = self.places.get(pointer).or_else(above);
        match place.and_then(|place| Some((text(place)?, place))) {
            None => "default".to_owned(),
            Some((text, _)) if text.name == SET => text.name.clone(),
            Some((text, place)) => {
                let line = 1 + text.text.get(..place.key.start).unwrap_or_default().matches('\n').count();
                format!("{}:{line}", text.name)
            }
        }
    }

    /// A diagnostic that points at the value at `place`; `label` says what it is.
    pub fn diagnostic(
        &self,
        message: impl Into<String>,
        place: Option<&Place>,
        label: impl Into<String>,
    ) -> Diagnostic {
        let source = place.and_then(|place| Some((self.sources.get(place.source)?, place)));
        let diagnostic = Diagnostic::new(message);
        match source {
            Some((source, place)) => diagnostic.at(&source.text, place.value.clone(), label),
            None => diagnostic,
        }
    }
}
