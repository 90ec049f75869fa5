//! `retune recipe`: the ready recipes, the reference of keys, a check.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::stdout;
use retune_recipe::diagnostic::listed;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_recipe::embedded::{RECIPES, find};
use retune_recipe::schema::KEYS;
use retune_recipe::{Recipe, resolved};
use retune_roles::nearest::nearest;

/// Arguments of `retune recipe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the recipes inside this binary
    List,
    /// Print one of them, to be saved and edited
    Show {
        /// A name from `retune recipe list`
        name: String,
    },
    /// Print every key of a recipe, its type, default and meaning
    Keys {
        /// Only this section: `training`, `data.columns`, `role`
        section: Option<String>,
    },
    /// Read a recipe and print it with every default filled in
    Check {
        /// The recipe
        recipe: PathBuf,
    },
}

/// Runs the verb.
pub fn run(args: Args) -> Result<ExitCode> {
    match args.verb {
        Verb::List => {
            let width = RECIPES.iter().map(|r| r.name.len()).max().unwrap_or(0);
            for recipe in RECIPES {
                stdout::line(format!("{:width$}  {}", recipe.name, recipe.about()));
            }
        }
        Verb::Show { name } => match find(&name) {
            Some(recipe) => stdout::text(recipe.text),
            None => {
                let names = || RECIPES.iter().map(|r| r.name);
                return Err(Diagnostic::new(format!("there is no recipe `{name}` inside this binary"))
                    .help_some(nearest(&name, names()).map(|near| format!("did you mean `{near}`?")))
                    .help(format!("there are: {}", listed(names()))));
            }
        },
        Verb::Keys { section } => keys(section.as_deref())?,
        Verb::Check { recipe } => stdout::text(resolved::resolved(&Recipe::load(&recipe)?)),
    }
    Ok(ExitCode::SUCCESS)
}

fn keys(only: Option<&str>) -> Result<()> {
    let mut sections: Vec<&str> = Vec::new();
    for key in KEYS {
        if !sections.contains(&key.section) {
            sections.push(key.section);
        }
    }
    if let Some(name) = only
        && !sections.contains(&name)
    {
        return Err(Diagnostic::new(format!("a recipe has no section `{name}`"))
            .help_some(nearest(name, sections.iter().copied()).map(|near| format!("did you mean `{near}`?")))
            .help(format!("there are: {}", listed(sections.into_iter().filter(|s| !s.is_empty())))));
    }
    let width = KEYS.iter().map(|k| k.name.len()).max().unwrap_or(0);
    for section in sections.into_iter().filter(|s| only.is_none_or(|name| name == *s)) {
        match section {
            "" => stdout::line("# top level"),
            "role" => stdout::line(
                "\n# a role: [loss], [[data.preprocess]], [[strategy.policy]], an entry of evaluation.metrics",
            ),
            name => stdout::line(format!("\n[{name}]")),
        }
        for key in KEYS.iter().filter(|k| k.section == section) {
            stdout::line(format!("{:width$}  {} ({}; default: {})", key.name, key.about, key.kind, key.default));
        }
    }
    Ok(())
}
