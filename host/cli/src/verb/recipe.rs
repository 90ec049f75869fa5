//! `retune recipe`: lists, shows and checks recipes, and says what their keys are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::stdout;
use crate::verb::set::Set;
use retune_recipe::diagnostic::listed;
use retune_recipe::diagnostic::{Diagnostic, Result};
use retune_recipe::embedded::{RECIPES, find};
use retune_recipe::reference::{self, sections};
use retune_recipe::resolved;
use retune_recipe::schema::schema;
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
    /// Print one of them, to be saved and edited; with --origin, who set each value of a recipe
    Show {
        /// A name from `retune recipe list`; with --origin, a recipe's file
        name: String,
        /// Every value, with the file and line that set it, `--set` or `default`
        #[arg(long)]
        origin: bool,
        #[command(flatten)]
        set: Set,
    },
    /// Print every key of a recipe, its type, default and meaning
    Keys {
        /// Only this section: `training`, `data.columns`, `role`
        section: Option<String>,
        /// As the reference page, in Markdown
        #[arg(long, conflicts_with = "section")]
        markdown: bool,
    },
    /// Print the JSON Schema of recipes, for editors and other validators
    Schema,
    /// Read a recipe and print it with every default filled in
    Check {
        /// The recipe
        recipe: PathBuf,
        #[command(flatten)]
        set: Set,
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
        Verb::Show { name, origin: true, set } => {
            stdout::text(resolved::with_origins(&set.load(Path::new(&name))?));
        }
        Verb::Show { name, .. } => match find(&name) {
            Some(recipe) => stdout::text(recipe.text),
            None => {
                let names = || RECIPES.iter().map(|r| r.name);
                return Err(Diagnostic::new(format!("there is no recipe `{name}` inside this binary"))
                    .help_some(nearest(&name, names()).map(|near| format!("did you mean `{near}`?")))
                    .help(format!("there are: {}", listed(names()))));
            }
        },
        Verb::Keys { markdown: true, .. } => stdout::text(reference::page()),
        Verb::Keys { section, .. } => keys(section.as_deref())?,
        Verb::Schema => stdout::line(format!("{:#}", schema())),
        Verb::Check { recipe, set } => stdout::text(resolved::resolved(&set.load(&recipe)?)),
    }
    Ok(ExitCode::SUCCESS)
}

fn keys(only: Option<&str>) -> Result<()> {
    let names = || sections().iter().map(|section| section.name.as_str());
    if let Some(name) = only
        && !names().any(|known| known == name)
    {
        return Err(Diagnostic::new(format!("a recipe has no section `{name}`"))
            .help_some(nearest(name, names()).map(|near| format!("did you mean `{near}`?")))
            .help(format!("there are: {}", listed(names().filter(|name| !name.is_empty())))));
    }
    stdout::text(reference::text(only));
    Ok(())
}
