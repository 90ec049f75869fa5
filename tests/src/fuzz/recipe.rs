//! A recipe, and what `--set` lays over it.
//!
//! The input is the recipe's text; behind a line of dashes, a line for each `--set`. Laws: what is accepted, written out with its
//! defaults, reads back to the same; each thing that is wrong is told in bounded lines.

use std::path::Path;

use retune_recipe::diagnostic::Text;
use retune_recipe::{Recipe, resolved};
use retune_roles::text::visible;

use super::{check_told, parts};

/// Reads a recipe; panics when a law is broken.
pub fn recipe(data: &[u8]) {
    let [text, sets] = parts(data);
    let (Ok(text), Ok(sets)) = (std::str::from_utf8(text), std::str::from_utf8(sets)) else { return };
    let sets: Vec<String> = sets.lines().take(8).map(str::to_owned).collect();
    let read = |text: &str, sets: &[String]| {
        let text = Text { name: "recipe.toml".to_owned(), text: text.into() };
        // A folder that is not there: what a recipe names cannot be read, and includes are told as missing.
        Recipe::parse_with(text, Path::new("/nowhere/at/all"), "recipe", sets)
    };
    match read(text, &sets) {
        Ok(recipe) => {
            let written = resolved::resolved(&recipe);
            resolved::with_origins(&recipe);
            match read(&written, &[]) {
                Ok(again) => assert_eq!(resolved::resolved(&again), written, "a recipe changes when it is read back"),
                Err(error) => {
                    panic!("what was written of a recipe is refused: {}\n{written}", error.render(false, None))
                }
            }
        }
        Err(diagnostic) => {
            check_told(&diagnostic.to_string());
            let shown = diagnostic.render(false, Some(80));
            // What is pointed at stands in the message as well; the bound is for all of them together.
            let most = 60_000 * diagnostic.count() + 8 * text.len();
            assert!(shown.len() <= most, "{} bytes are shown of {} of text", shown.len(), text.len());
            let plain = shown.replace("\r\n", "\n");
            assert!(visible(&plain) == plain, "control characters reach the terminal: {shown:?}");
        }
    }
}
