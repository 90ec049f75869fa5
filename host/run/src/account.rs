//! What the loading of a model and the preparing of rows had to say, in lines.

use retune_data::{DataReport, SplitName};
use retune_train::model::LoadReport;

use crate::Reporter;
use crate::report::svg::short;
use retune_recipe::Recipe;

/// What became of the base's tensors.
pub fn tell_loaded(loaded: &LoadReport, recipe: &Recipe, console: &dyn Reporter) {
    let base = recipe.model.start().path().display();
    if loaded.loaded == 0 {
        console.line(&format!("model     {base}: every weight drawn from seed {}", recipe.seed));
        return;
    }
    let new = match loaded.new.len() {
        0 => String::new(),
        1..=4 => format!("; new: {}", loaded.new.join(", ")),
        many => format!("; {many} parameters are new"),
    };
    console.line(&format!("model     {base}: {} tensors{new}", loaded.loaded));
    if loaded.untied {
        console.warning(
            "config.json says tie_word_embeddings, but the base has an lm_head.weight of its own: it is used and trained \
             by itself, as in transformers",
        );
    }
    if !loaded.unused.is_empty() {
        let (count, shown) = (loaded.unused.len(), loaded.unused.iter().take(4));
        let names = shown.map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if count > 4 { format!(" and {} more", count - 4) } else { String::new() };
        console.warning(&format!("the model has no place for {count} tensors of the base: {names}{more}"));
    }
    for (name, why) in &loaded.replaced {
        console.warning(&format!("{name} starts anew: {why}"));
    }
}

/// What became of the rows, and what somebody should know of them.
pub fn tell_account(report: &DataReport, console: &dyn Reporter) {
    for source in &report.sources {
        let dropped: Vec<String> =
            source.dropped.iter().map(|d| format!("{} {} ({})", d.count, d.reason, d.stage)).collect();
        let lost = if dropped.is_empty() { String::new() } else { format!("; dropped {}", dropped.join(", ")) };
        let cached = if matches!(source.cache, retune_data::CacheUse::Hit { .. }) { " (from the cache)" } else { "" };
        console.line(&format!("data      {}: {} of {} rows{cached}{lost}", source.split, source.rows, source.read));
    }
    if let Some(train) = report.split(SplitName::Train).filter(|train| !train.values.is_empty()) {
        for value in &train.values {
            let [min, mean, max, std] = [value.min, value.mean, value.max, value.std].map(short);
            console.line(&format!("target    {}: {min} to {max}, mean {mean}, deviation {std}", value.name));
        }
    } else if !report.labels.is_empty() {
        let shown: Vec<&str> = report.labels.iter().take(8).map(String::as_str).collect();
        let more = report.labels.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        console.line(&format!("labels    {}: {}{more}", report.labels.len(), shown.join(", ")));
    }
    for warning in &report.warnings {
        console.warning(warning);
    }
}
