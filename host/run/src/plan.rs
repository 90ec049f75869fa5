//! What a run will do, before it does it: `retune run --dry-run`.
//!
//! Everything shown is resolved (files found, plugins loaded, data counted); only
//! the memory is a forecast, see [`crate::forecast`].

use retune_data::Prepared;
use retune_roles::Rows as _;
use retune_train::Trainer;
use retune_train::model::Model;
use retune_train::model::adapter::AdapterMethod;
use serde::Serialize;

use crate::forecast::{self, Memory, Unit};
use crate::manifest::RoleFacts;
use crate::words::{amount, bytes, count};
use retune_recipe::{Every, Recipe};

/// A resolved plan.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Name of the recipe.
    pub name: String,
    /// Where it trains.
    pub device: String,
    /// `bert`, `llama`.
    pub architecture: String,
    /// Scalars.
    pub parameters: u64,
    /// Trainable scalars at the start.
    pub trainable: u64,
    /// What the adapter is, where there is one, and the share of all parameters that learns.
    pub adapter: Option<String>,
    /// Trainable layers at the start, and all.
    pub layers: (usize, usize),
    /// The label set.
    pub labels: Vec<String>,
    /// Splits with their rows and tokens.
    pub splits: Vec<(String, u64, u64)>,
    /// What plays which role.
    pub roles: Vec<RoleFacts>,
    /// Optimiser steps.
    pub steps: u64,
    /// Rows per optimiser step, or what they were made into.
    pub rows_per_step: u64,
    /// What is counted there.
    pub unit: Unit,
    /// When validation happens.
    pub evaluations: String,
    /// Bytes, by purpose.
    pub memory: Memory,
}

impl Plan {
    /// The plan of a run that is ready to start; `answers` says whether a metric reads what the model writes.
    pub fn new(
        recipe: &Recipe,
        device: String,
        trainer: &Trainer<'_>,
        prepared: &Prepared,
        roles: Vec<RoleFacts>,
        answers: bool,
    ) -> Self {
        let model = trainer.model();
        let layers = model.layers();
        let t = &recipe.training;
        let (parameters, trainable) = sizes(model);
        Self {
            name: recipe.name.clone(),
            device,
            architecture: architecture(model).to_owned(),
            parameters,
            trainable,
            adapter: adapter(model),
            layers: (layers.iter().filter(|l| l.trainable).count(), layers.len()),
            labels: prepared.labels.clone(),
            splits: prepared.report.splits.iter().map(|s| (s.split.to_string(), s.examples, s.tokens)).collect(),
            roles,
            steps: trainer.total_steps(),
            rows_per_step: t.batch_size * t.gradient_accumulation_steps,
            evaluations: match recipe.evaluation.every {
                _ if prepared.validation.is_empty() => "none: there is no validation set".to_owned(),
                Every::Epoch => "after each epoch".to_owned(),
                Every::Steps(steps) => format!("every {steps} steps"),
                Every::Never => "only around training".to_owned(),
            },
            memory: forecast::memory(recipe, model, prepared, answers),
            unit: Unit::of(recipe.data.layout),
        }
    }

    /// As printed.
    pub fn page(&self) -> String {
        let mut out = format!("{} on {}\n", self.name, self.device);
        out.push_str(&format!(
            "\nmodel         {}, {} parameters, {} trainable at the start ({} of {} layers)\n",
            self.architecture,
            amount(self.parameters),
            amount(self.trainable),
            self.layers.0,
            self.layers.1
        ));
        if let Some(adapter) = &self.adapter {
            out.push_str(&format!("adapter       {adapter}\n"));
        }
        if !self.labels.is_empty() {
            let shown: Vec<&str> = self.labels.iter().take(8).map(String::as_str).collect();
            let more =
                if self.labels.len() > 8 { format!(" and {} more", self.labels.len() - 8) } else { String::new() };
            out.push_str(&format!("labels        {}: {}{more}\n", self.labels.len(), shown.join(", ")));
        }
        for (name, examples, tokens) in &self.splits {
            out.push_str(&format!(
                "data          {name}: {} example{}, {} tokens\n",
                count(*examples),
                if *examples == 1 { "" } else { "s" },
                count(*tokens)
            ));
        }
        for role in &self.roles {
            let origin = role.plugin.as_ref().map_or("built in".to_owned(), |f| {
                format!("plugin {}, sha256 {}", bytes(f.bytes), &f.sha256[..f.sha256.len().min(12)])
            });
            let line = format!("{:<12}  {} ({origin})  {}", role.role, role.name, settings(&role.config));
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out.push_str(&format!(
            "steps         {} of {} {}; evaluation {}\n",
            count(self.steps),
            count(self.rows_per_step),
            self.unit.as_str(),
            self.evaluations
        ));
        let m = &self.memory;
        let mut parts = m.at_peak.each().to_vec();
        parts.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let parts: Vec<String> = parts.iter().take(4).map(|(name, size)| format!("{name} {}", bytes(*size))).collect();
        out.push_str(&format!(
            "memory        about {}: {} (`retune plan` tells more)\n",
            bytes(m.peak),
            parts.join(", ")
        ));
        out
    }
}

/// Settings in a line, those that are unset left out.
fn settings(config: &serde_json::Value) -> String {
    let set = config.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    set.map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}

/// `bert`, `llama`.
pub fn architecture(model: &Model) -> &'static str {
    model.config().family.model_type
}

/// Scalars, and the trainable ones.
pub fn sizes(model: &Model) -> (u64, u64) {
    model.parameters().iter().fold((0, 0), |(all, learning), p| {
        let size = p.numel();
        (all + size, learning + if p.trainable { size } else { 0 })
    })
}

/// `dora, rank 8, on 14 modules; 3,392 of 21,040 parameters learn (16.12 %)`.
fn adapter(model: &Model) -> Option<String> {
    let adapter = model.adapter()?;
    let (all, learn) = sizes(model);
    let (least, most) = adapter.placed.iter().fold((usize::MAX, 0), |(least, most), p| (least.min(p.r), most.max(p.r)));
    let rank = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let method = match adapter.spec.method {
        AdapterMethod::Lora => "lora",
        AdapterMethod::Dora => "dora",
    };
    let share = 100.0 * learn as f64 / all.max(1) as f64;
    let (modules, learn, all) = (adapter.placed.len(), count(learn), count(all));
    let start = adapter.spec.init_lora_weights;
    let start = if start.is_principal() { format!(" started by {}", String::from(start)) } else { String::new() };
    Some(format!(
        "{method}{start}, rank {rank}, on {modules} modules; {learn} of {all} parameters learn ({share:.2} %)"
    ))
}
