//! The built-in roles: one row each, from which errors, `retune recipe keys` and the checks of a recipe are made.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::texts::{Bleu, ExactMatch, Gsm8kAnswer, Rouge, Score, Scored};
use super::{
    Accuracy, BinaryCrossEntropy, CrossEntropy, Distance, LengthFilter, MultiLabel, Perplexity, Regression, Seqeval,
    Thaw,
};
use crate::{ErrorKind, Loss, Metric, Policy, Preprocessor, Refusal, RoleKind, TaskKind};

/// A role that needs no plugin.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// As a recipe names it.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The JSON Schema of its settings.
    pub schema: fn() -> Value,
    maker: Maker,
}

/// How it is made from its settings, by the role it plays.
#[derive(Clone, Copy, Debug)]
enum Maker {
    Loss(fn(&Value, TaskKind) -> Made<dyn Loss>),
    Metric(fn(&Value, TaskKind) -> Made<dyn Metric>),
    /// A metric that reads what the model writes, of whatever task that writes.
    TextMetric(fn(&Value) -> Made<dyn Metric>),
    Policy(fn(&Value) -> Made<dyn Policy>),
    Preprocessor(fn(&Value) -> Made<dyn Preprocessor>),
}

/// A role, or why its settings or the task do not fit it.
type Made<R> = Result<Box<R>, Refusal>;

/// All of them.
pub const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "length-filter",
        about: "Drops rows whose text is too short or too long.",
        schema: schema::<super::LengthFilterConfig>,
        maker: Maker::Preprocessor(|config| Ok(Box::new(LengthFilter::new(parse(config)?)?))),
    },
    Builtin {
        name: "cross-entropy",
        about: "The mean over labels of -log softmax(logits)[label].",
        schema: schema::<NoConfig>,
        maker: Maker::Loss(|config, task| {
            parse::<NoConfig>(config)?;
            only("loss `cross-entropy`", ONE_LABEL, task, |task| !OF_SEVERAL.contains(&task))?;
            Ok(Box::new(CrossEntropy::new(task)))
        }),
    },
    Builtin {
        name: "binary-cross-entropy",
        about: "The mean over rows and labels of -log of the probability of what is so (multi-label-classification).",
        schema: schema::<super::BinaryCrossEntropyConfig>,
        maker: Maker::Loss(|config, task| {
            only("loss `binary-cross-entropy`", SEVERAL, task, |task| task == TaskKind::MultiLabelClassification)?;
            Ok(Box::new(BinaryCrossEntropy::new(parse(config)?)?))
        }),
    },
    Builtin {
        name: "mean-squared-error",
        about: "The mean over rows and numbers of the squared difference (regression).",
        schema: schema::<NoConfig>,
        maker: Maker::Loss(|config, task| {
            parse::<NoConfig>(config)?;
            only("loss `mean-squared-error`", NUMBERS, task, |task| task == TaskKind::Regression)?;
            Ok(Box::new(Distance::squared()))
        }),
    },
    Builtin {
        name: "mean-absolute-error",
        about: "The mean over rows and numbers of the size of the difference (regression).",
        schema: schema::<NoConfig>,
        maker: Maker::Loss(|config, task| {
            parse::<NoConfig>(config)?;
            only("loss `mean-absolute-error`", NUMBERS, task, |task| task == TaskKind::Regression)?;
            Ok(Box::new(Distance::absolute()))
        }),
    },
    Builtin {
        name: "huber",
        about: "The squared difference where it is small, its size where it is large (regression).",
        schema: schema::<super::HuberConfig>,
        maker: Maker::Loss(|config, task| {
            only("loss `huber`", NUMBERS, task, |task| task == TaskKind::Regression)?;
            Ok(Box::new(Distance::huber(&parse(config)?)?))
        }),
    },
    Builtin {
        name: "thaw",
        about: "Keeps some layers frozen until a step is reached.",
        schema: schema::<super::ThawConfig>,
        maker: Maker::Policy(|config| Ok(Box::new(Thaw::new(parse(config)?)?))),
    },
    Builtin {
        name: "accuracy",
        about: "The share of labels that are predicted.",
        schema: schema::<NoConfig>,
        maker: Maker::Metric(|config, task| {
            parse::<NoConfig>(config)?;
            only("metric `accuracy`", ONE_LABEL, task, |task| !OF_SEVERAL.contains(&task))?;
            Ok(Box::new(Accuracy::new()))
        }),
    },
    Builtin {
        name: "perplexity",
        about: "The exponential of the mean cross-entropy per token (causal-lm, masked-lm).",
        schema: schema::<NoConfig>,
        maker: Maker::Metric(|config, task| {
            parse::<NoConfig>(config)?;
            let fits = |task| matches!(task, TaskKind::CausalLm | TaskKind::MaskedLm);
            only("metric `perplexity`", "language models", task, fits)?;
            Ok(Box::new(Perplexity::new()))
        }),
    },
    Builtin {
        name: "seqeval",
        about: "Precision, recall and F1 over entities, as seqeval and conlleval (token-classification).",
        schema: schema::<NoConfig>,
        maker: Maker::Metric(|config, task| {
            parse::<NoConfig>(config)?;
            only("metric `seqeval`", "tags of words", task, |task| task == TaskKind::TokenClassification)?;
            Ok(Box::new(Seqeval::new()))
        }),
    },
    Builtin {
        name: "multi-label",
        about: "Micro and macro F1, rows without a mistake, and the share of wrong labels (multi-label-classification).",
        schema: schema::<super::MultiLabelConfig>,
        maker: Maker::Metric(|config, task| {
            only("metric `multi-label`", SEVERAL, task, |task| task == TaskKind::MultiLabelClassification)?;
            Ok(Box::new(MultiLabel::new(&parse(config)?)?))
        }),
    },
    Builtin {
        name: "regression",
        about: "Root mean squared and mean absolute error, R² and Pearson's correlation (regression).",
        schema: schema::<NoConfig>,
        maker: Maker::Metric(|config, task| {
            parse::<NoConfig>(config)?;
            only("metric `regression`", NUMBERS, task, |task| task == TaskKind::Regression)?;
            Ok(Box::new(Regression::new()))
        }),
    },
    Builtin {
        name: "exact-match",
        about: "The share of answers that are the reference, to the letter or without case, punctuation, numbers.",
        schema: schema::<super::ExactMatchConfig>,
        maker: Maker::TextMetric(|config| scored(ExactMatch::new(parse(config)?))),
    },
    Builtin {
        name: "bleu",
        about: "BLEU of all answers together, as sacrebleu computes it.",
        schema: schema::<super::BleuConfig>,
        maker: Maker::TextMetric(|config| scored(Bleu::new(parse(config)?)?)),
    },
    Builtin {
        name: "rouge",
        about: "The mean F-measures of ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum, as rouge-score computes them.",
        schema: schema::<super::RougeConfig>,
        maker: Maker::TextMetric(|config| scored(Rouge::new(parse(config)?))),
    },
    Builtin {
        name: "gsm8k-answer",
        about: "The share of answers with the right number after `#### `, and of those whose last number is right.",
        schema: schema::<NoConfig>,
        maker: Maker::TextMetric(|config| {
            parse::<NoConfig>(config)?;
            scored(Gsm8kAnswer)
        }),
    },
];

/// A metric of texts that computes `score`.
fn scored(score: impl Score + 'static) -> Made<dyn Metric> {
    Ok(Box::new(Scored::new(score)))
}

/// Refuses a metric of texts for a model that writes none.
fn writes(name: &str, task: TaskKind) -> Result<(), Refusal> {
    if task == TaskKind::CausalLm {
        return Ok(());
    }
    let message =
        format!("metric `{name}` reads what the model writes, and a model for {task} writes nothing; causal-lm does");
    Err(Refusal::new(ErrorKind::Config, message))
}

impl Builtin {
    /// The role it plays.
    pub fn role(&self) -> RoleKind {
        match self.maker {
            Maker::Loss(_) => RoleKind::Loss,
            Maker::Metric(_) | Maker::TextMetric(_) => RoleKind::Metric,
            Maker::Policy(_) => RoleKind::Policy,
            Maker::Preprocessor(_) => RoleKind::Preprocessor,
        }
    }

    /// Whether it is a metric that reads what the model writes.
    pub fn reads_texts(&self) -> bool {
        matches!(self.maker, Maker::TextMetric(_))
    }

    /// Whether it can be made with these settings for `task`.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, config: &Value, task: TaskKind) -> Result<(), Refusal> {
        match self.maker {
            Maker::Loss(make) => make(config, task).map(drop),
            Maker::Metric(make) => make(config, task).map(drop),
            Maker::TextMetric(make) => writes(self.name, task).and_then(|()| make(config).map(drop)),
            Maker::Policy(make) => make(config).map(drop),
            Maker::Preprocessor(make) => make(config).map(drop),
        }
        .map_err(|refusal| named(self.name, refusal))
    }
}

/// The built-in called `name` that plays `role`.
///
/// # Errors
/// When there is none, with those there are.
pub fn find(role: RoleKind, name: &str) -> Result<&'static Builtin, Refusal> {
    let found = BUILTINS.iter().find(|builtin| builtin.role() == role && builtin.name == name);
    found.ok_or_else(|| {
        let known = names(role).join("`, `");
        Refusal::new(ErrorKind::Config, format!("there is no built-in {role} `{name}`; there is `{known}`"))
    })
}

/// The names of the built-ins that play `role`.
pub fn names(role: RoleKind) -> Vec<&'static str> {
    BUILTINS.iter().filter(|builtin| builtin.role() == role).map(|builtin| builtin.name).collect()
}

macro_rules! maker {
    ($(#[$doc:meta])* $function:ident, $kind:ident, $role:ident $(, $task:ident: $type:ty)?) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// When there is none of that name, or its settings (or the task) do not fit it.
        pub fn $function(name: &str, config: &Value $(, $task: $type)?) -> Result<Box<dyn $role>, Refusal> {
            match find(RoleKind::$kind, name)?.maker {
                Maker::$kind(make) => make(config $(, $task)?).map_err(|refusal| named(name, refusal)),
                _ => Err(Refusal::new(ErrorKind::Internal, format!("`{name}` plays another role"))),
            }
        }
    };
}

maker!(
    /// The built-in loss called `name` for `task`.
    loss, Loss, Loss, task: TaskKind
);

/// The built-in metric called `name` for `task`.
///
/// # Errors
/// When there is none of that name, or its settings or the task do not fit it.
pub fn metric(name: &str, config: &Value, task: TaskKind) -> Result<Box<dyn Metric>, Refusal> {
    match find(RoleKind::Metric, name)?.maker {
        Maker::Metric(make) => make(config, task),
        Maker::TextMetric(make) => writes(name, task).and_then(|()| make(config)),
        _ => Err(Refusal::new(ErrorKind::Internal, format!("`{name}` plays another role"))),
    }
    .map_err(|refusal| named(name, refusal))
}

maker!(
    /// The built-in policy called `name`.
    policy, Policy, Policy
);
maker!(
    /// The built-in preprocessor called `name`.
    preprocessor, Preprocessor, Preprocessor
);

/// What built-ins are defined for, in their refusals.
const ONE_LABEL: &str = "one label at a place";
const SEVERAL: &str = "several labels a row";
const NUMBERS: &str = "numbers";

/// Tasks whose target is not one class at a place.
const OF_SEVERAL: [TaskKind; 2] = [TaskKind::MultiLabelClassification, TaskKind::Regression];

/// Refuses `who`, which is defined for `what`, for a task that does not fit, and names the one that does.
fn only(who: &str, what: &str, task: TaskKind, fits: impl Fn(TaskKind) -> bool) -> Result<(), Refusal> {
    if fits(task) {
        return Ok(());
    }
    let other = match who.starts_with("loss") {
        true => task.info().default_loss.to_owned(),
        false => task.info().default_metrics.join("` and `"),
    };
    Err(Refusal::new(ErrorKind::Config, format!("{who} is defined for {what}; {task} has `{other}`")))
}

/// The settings of a role that has none.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoConfig {}

fn schema<T: JsonSchema>() -> Value {
    schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// `config` as `T`; JSON null is the empty object.
fn parse<T: DeserializeOwned>(config: &Value) -> Result<T, Refusal> {
    let config = if config.is_null() { Value::Object(serde_json::Map::new()) } else { config.clone() };
    serde_json::from_value(config).map_err(|error| Refusal::new(ErrorKind::Config, error.to_string()))
}

/// Says which built-in refuses, where its sentence does not.
fn named(name: &str, mut refusal: Refusal) -> Refusal {
    if !refusal.message.contains(name) {
        refusal.message = format!("settings of built-in `{name}`: {}", refusal.message);
    }
    refusal
}
