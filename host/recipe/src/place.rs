//! Where the values of a recipe stand.
//!
//! A recipe may be made of several texts: its file, files that it includes, and what
//! `--set` says on the command line. A [`Place`] names the text and the bytes in it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use crate::diagnostic::Text;

/// The name of a text that the command line gives.
pub const SET: &str = "--set";

/// A text that values of the recipe come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name and contents.
    pub text: Text,
    /// What its paths are relative to.
    pub folder: PathBuf,
}

/// Where a key and its value stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number of the text.
    pub source: usize,
    /// The key; of an item of a list, the item.
    pub key: Range<usize>,
    /// The value; of a section, its header.
    pub value: Range<usize>,
}

/// The places of everything that was written, by JSON pointer.
pub type Places = BTreeMap<String, Place>;

/// `data.preprocess[0].plugin` as the JSON pointer `/data/preprocess/0/plugin`.
pub fn pointer(path: &str) -> String {
    let parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty());
    parts.fold(String::new(), |pointer, part| child(&pointer, part))
}

/// The JSON pointer of `key` within `pointer`.
pub fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A JSON pointer as a list of keys.
pub fn keys(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
}

/// The place of the deepest part of `pointer` that was written.
pub fn deepest<'a>(places: &'a Places, pointer: &str) -> Option<&'a Place> {
    let mut pointer = pointer;
    loop {
        if let Some(place) = places.get(pointer) {
            return Some(place);
        }
        pointer = &pointer[..pointer.rfind('/')?];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_pointer_and_back() {
        assert_eq!(pointer("data.preprocess[0].config"), "/data/preprocess/0/config");
        assert_eq!(keys(&child("/a", "b/c~d")), ["a", "b/c~d"]);
    }

    #[test]
    fn what_was_not_written_is_found_at_what_it_belongs_to() {
        let place = |n| Place { source: 0, key: n..n, value: n..n };
        let places = Places::from([("/a".to_owned(), place(1)), ("/a/b".to_owned(), place(2))]);
        assert_eq!(deepest(&places, "/a/b/c"), Some(&place(2)));
        assert_eq!(deepest(&places, "/a/x"), Some(&place(1)));
        assert_eq!(deepest(&places, "/z"), None);
    }
}
