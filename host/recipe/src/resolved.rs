//! A recipe written out with every value a run used.
//!
//! Law: reading this text gives the same recipe again.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value as Json;
use toml::Value;

use super::{BaseRef, Every, Recipe, RoleRef, RoleSource, Scheduler, Scheme, Validation, Warmup};

/// The recipe as TOML, paths absolute, defaults filled in.
pub fn resolved(recipe: &Recipe) -> String {
    let mut out =
        String::from("# Every setting of this run, defaults filled in; `retune run` on this file repeats it.\n");
    top(&mut out, recipe);
    model(&mut out, recipe);
    data(&mut out, recipe);
    strategy(&mut out, recipe);
    if let Some(loss) = &recipe.loss {
        role(&mut out, "[loss]", loss);
    }
    training(&mut out, recipe);
    evaluation(&mut out, recipe);
    if let Some(directory) = &recipe.export {
        header(&mut out, "[export]");
        line(&mut out, "directory", path(directory));
    }
    out
}

fn header(out: &mut String, name: &str) {
    out.push('\n');
    out.push_str(name);
    out.push('\n');
}

fn line(out: &mut String, key: &str, value: impl Into<Value>) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{key} = {}", value.into());
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// TOML's whole numbers are i64; the reader let nothing larger in.
fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn table(pairs: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    Value::Table(pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

fn top(out: &mut String, recipe: &Recipe) {
    line(out, "name", recipe.name.as_str());
    line(out, "seed", whole(recipe.seed));
    line(out, "device", recipe.device.as_str());
}

fn model(out: &mut String, recipe: &Recipe) {
    header(out, "[model]");
    match &recipe.model.base {
        BaseRef::Directory(directory) => line(out, "base", path(directory)),
        BaseRef::Config(file) => line(out, "config", path(file)),
    }
    line(out, "tokenizer", path(&recipe.model.tokenizer));
    line(out, "task", recipe.model.task.as_str());
}

fn data(out: &mut String, recipe: &Recipe) {
    let data = &recipe.data;
    header(out, "[data]");
    line(out, "train", path(&data.train));
    match &data.validation {
        Validation::None => {}
        Validation::Split(share) => line(out, "validation", table([("split", Some(Value::from(*share)))])),
        Validation::File(file) => line(out, "validation", path(file)),
    }
    if let Some(test) = &data.test {
        line(out, "test", path(test));
    }
    let text = |column: &super::At<String>| Value::from(column.as_str());
    if let Some(format) = data.format {
        let name = super::sections::FORMATS.iter().find(|(_, f)| *f == format).map_or("csv", |(name, _)| *name);
        line(out, "format", name);
    }
    let c = &data.columns;
    let maybe = |column: &Option<super::At<String>>| column.as_ref().map(text);
    line(
        out,
        "columns",
        table([
            ("text", c.completion.is_none().then(|| text(&c.text))),
            ("text_pair", maybe(&c.text_pair)),
            ("label", maybe(&c.label)),
            ("prompt", maybe(&c.prompt)),
            ("completion", maybe(&c.completion)),
        ]),
    );
    if !data.extra_columns.is_empty() {
        line(out, "extra_columns", data.extra_columns.iter().map(text).collect::<Vec<_>>());
    }
    if let Some(labels) = &data.labels {
        line(out, "labels", labels.iter().map(text).collect::<Vec<_>>());
    }
    line(out, "max_length", whole(*data.max_length));
    line(out, "layout", if data.blocks { "blocks" } else { "rows" });
    if let Some(limit) = data.limit_per_label {
        line(out, "limit_per_label", whole(limit));
    }
    if let Some(workers) = data.workers {
        line(out, "workers", whole(workers));
    }
    for stage in &data.preprocess {
        role(out, "[[data.preprocess]]", stage);
    }
}

fn strategy(out: &mut String, recipe: &Recipe) {
    let strategy = &recipe.strategy;
    header(out, "[strategy]");
    line(out, "method", if strategy.partial { "partial" } else { "full" });
    if !strategy.freeze.is_empty() {
        line(out, "freeze", strategy.freeze.iter().map(|glob| Value::from(glob.as_str())).collect::<Vec<_>>());
    }
    if let Some(top) = &strategy.train_top_layers {
        line(out, "train_top_layers", i64::from(**top));
    }
    if !strategy.reinitialize.is_empty() {
        let items: Vec<Value> = strategy
            .reinitialize
            .iter()
            .map(|r| {
                let (scheme, std) = match r.scheme {
                    Scheme::Normal(std) => ("normal", Some(Value::from(std))),
                    Scheme::Zeros => ("zeros", None),
                    Scheme::XavierUniform => ("xavier-uniform", None),
                    Scheme::KaimingUniform => ("kaiming-uniform", None),
                };
                let layers: Vec<Value> = r.layers.iter().map(|glob| Value::from(glob.as_str())).collect();
                table([("layers", Some(Value::from(layers))), ("scheme", Some(Value::from(scheme))), ("std", std)])
            })
            .collect();
        line(out, "reinitialize", items);
    }
    for policy in &strategy.policy {
        role(out, "[[strategy.policy]]", policy);
    }
}

fn training(out: &mut String, recipe: &Recipe) {
    let t = &recipe.training;
    header(out, "[training]");
    line(out, "epochs", i64::from(t.epochs));
    if let Some(steps) = t.max_steps {
        line(out, "max_steps", whole(steps));
    }
    line(out, "batch_size", whole(t.batch_size));
    line(out, "gradient_accumulation_steps", whole(t.gradient_accumulation_steps));
    line(
        out,
        "optimizer",
        table([
            ("name", Some(Value::from("adamw"))),
            ("learning_rate", Some(Value::from(t.learning_rate))),
            ("weight_decay", Some(Value::from(t.weight_decay))),
            ("beta1", Some(Value::from(t.beta1))),
            ("beta2", Some(Value::from(t.beta2))),
            ("epsilon", Some(Value::from(t.epsilon))),
        ]),
    );
    let shape = match t.scheduler {
        Scheduler::Linear => "linear",
        Scheduler::Cosine => "cosine",
        Scheduler::Constant => "constant",
    };
    let (steps, ratio) = match t.warmup {
        Warmup::Steps(steps) => (Some(Value::from(whole(steps))), None),
        Warmup::Ratio(ratio) => (None, Some(Value::from(ratio))),
    };
    line(
        out,
        "lr_scheduler",
        table([("name", Some(Value::from(shape))), ("warmup_steps", steps), ("warmup_ratio", ratio)]),
    );
    line(out, "max_grad_norm", t.max_grad_norm);
    line(out, "dropout", t.dropout);
    let every = t.checkpoint_every_steps.map(|steps| Value::from(whole(steps)));
    line(out, "checkpoint", table([("every_steps", every), ("keep", Some(Value::from(whole(t.checkpoint_keep))))]));
    line(out, "logging_steps", whole(t.logging_steps));
}

fn evaluation(out: &mut String, recipe: &Recipe) {
    let e = &recipe.evaluation;
    header(out, "[evaluation]");
    match e.every {
        Every::Epoch => line(out, "every", "epoch"),
        Every::Never => line(out, "every", "never"),
        Every::Steps(steps) => line(out, "every", table([("steps", Some(Value::from(whole(steps))))])),
    }
    line(out, "batch_size", whole(e.batch_size));
    line(out, "metrics", e.metrics.iter().map(inline_role).collect::<Vec<_>>());
    if let Some(best) = &e.best {
        let mode = best.maximize.map(|max| Value::from(if max { "max" } else { "min" }));
        line(out, "best", table([("metric", Some(Value::from(best.metric.as_str()))), ("mode", mode)]));
    }
    if let Some(stop) = &e.early_stopping {
        line(
            out,
            "early_stopping",
            table([
                ("patience", Some(Value::from(whole(stop.patience)))),
                ("min_delta", Some(Value::from(stop.min_delta))),
            ]),
        );
    }
}

fn role(out: &mut String, name: &str, role: &RoleRef) {
    header(out, name);
    for (key, value) in parts(role) {
        line(out, key, value);
    }
}

fn inline_role(role: &RoleRef) -> Value {
    Value::Table(parts(role).into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn parts(role: &RoleRef) -> Vec<(&'static str, Value)> {
    let mut parts = vec![match &role.source {
        RoleSource::Plugin(file) => ("plugin", Value::from(path(file))),
        RoleSource::Builtin(name) => ("builtin", Value::from(name.as_str())),
    }];
    for (key, json) in [("config", &role.config), ("limits", &role.limits)] {
        if json.as_object().is_some_and(|o| !o.is_empty())
            && let Some(value) = toml_of(json)
        {
            parts.push((key, value));
        }
    }
    parts
}

/// JSON as TOML; nulls, which TOML lacks, are left out.
fn toml_of(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => match n.as_i64() {
            Some(whole) => Value::from(whole),
            None => Value::from(n.as_f64()?),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().filter_map(toml_of).collect()),
        Json::Object(object) => {
            Value::Table(object.iter().filter_map(|(k, v)| Some((k.clone(), toml_of(v)?))).collect())
        }
    })
}
