//! TOML as JSON, with the place of every key and value; and one such text laid over another.

use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::place::{Place, Places, child, keys};

/// Keys of which one makes the others of the same table void, when a later text sets it.
const INSTEAD: &[&[&str]] = &[&["base", "config"], &["warmup_steps", "warmup_ratio"], &["plugin", "builtin"]];

/// What texts say, merged.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// The values.
    pub values: Map<String, Json>,
    /// Where each stands.
    pub places: Places,
}

impl Written {
    /// A parsed text, the `source`th.
    pub fn of(table: &DeTable<'_>, source: usize) -> Self {
        let mut places = Places::new();
        let values = members(table, source, "", &mut places);
        Self { values, places }
    }

    /// Lays `over` on top: tables are merged key by key, everything else is replaced.
    pub fn overlay(&mut self, over: Self) {
        lay(&mut self.values, &mut self.places, over.values, &over.places, "");
    }

    /// The value that `text`, TOML or a word without quotes, gives to the key at `path`.
    pub fn one(path: &[String], text: &str, place: &Place) -> Self {
        let mut places = Places::new();
        let mut pointer = String::new();
        for key in path {
            pointer = child(&pointer, key);
            places.insert(pointer.clone(), place.clone());
        }
        // The key is as long as it was written, so that spans fit.
        let line = format!("{}={text}", "k".repeat(place.value.start.saturating_sub(1)));
        let parsed = DeTable::parse(&line).ok().and_then(|table| {
            let (_, value) = table.get_ref().iter().next()?;
            Some(json(value, place.key.clone(), place.source, &pointer, &mut places))
        });
        let value = parsed.unwrap_or_else(|| Json::String(text.trim().to_owned()));
        let nested = path.iter().rev().fold(value, |value, key| Json::Object(Map::from_iter([(key.clone(), value)])));
        Self { values: if let Json::Object(values) = nested { values } else { Map::new() }, places }
    }

    /// Lays `over`, which sets the key at `path`, on top; a number in `path` is an item of a list.
    ///
    /// # Errors
    /// The path of an item that is not there.
    pub fn set(&mut self, path: &[String], over: Self) -> Result<(), String> {
        let Some(index) = path.iter().rposition(|key| key.parse::<usize>().is_ok()) else {
            self.overlay(over);
            return Ok(());
        };
        let item = path[..=index].iter().fold(String::new(), |pointer, key| child(&pointer, key));
        let missing = || retune_schema::shown(&path[..=index]);
        let value = at(&mut self.values, &item).ok_or_else(missing)?;
        let new = path[..=index].iter().try_fold(Json::Object(over.values), |value, key| match value {
            Json::Object(mut members) => members.shift_remove(key),
            _ => None,
        });
        let (Some(new), places) = (new, over.places) else { return Err(missing()) };
        match (value, new) {
            (Json::Object(below), Json::Object(above)) => lay(below, &mut self.places, above, &places, &item),
            (value, new) => {
                *value = new;
                forget(&mut self.places, &item);
                self.places
                    .extend(places.into_iter().filter(|(at, _)| *at == item || at.starts_with(&format!("{item}/"))));
            }
        }
        Ok(())
    }

    /// The value at `pointer`; none for the empty pointer.
    pub fn at(&mut self, pointer: &str) -> Option<&mut Json> {
        at(&mut self.values, pointer)
    }

    /// Takes the value at `pointer` out; an item of a list takes the whole list with it.
    pub fn remove(&mut self, pointer: &str) {
        let Some((parent, key)) = pointer.rsplit_once('/') else { return };
        let key = key.replace("~1", "/").replace("~0", "~");
        match self.at(parent) {
            None if parent.is_empty() => drop(self.values.shift_remove(&key)),
            Some(Json::Object(members)) => drop(members.shift_remove(&key)),
            Some(Json::Array(_)) => self.remove(parent),
            _ => {}
        }
    }
}

/// The value at `pointer` of these; none for the empty pointer.
pub fn at<'a>(values: &'a mut Map<String, Json>, pointer: &str) -> Option<&'a mut Json> {
    let keys = keys(pointer);
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(values.get_mut(first)?, |value, key| match value {
        Json::Object(members) => members.get_mut(key),
        Json::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn lay(base: &mut Map<String, Json>, places: &mut Places, over: Map<String, Json>, new: &Places, pointer: &str) {
    for group in INSTEAD {
        if group.iter().any(|key| over.contains_key(*key)) {
            for key in group.iter().filter(|key| !over.contains_key(**key)) {
                base.shift_remove(*key);
                forget(places, &child(pointer, key));
            }
        }
    }
    // Another role has other settings.
    let other = ["plugin", "builtin"].iter().any(|key| over.get(*key).is_some_and(|name| base.get(*key) != Some(name)));
    if other {
        for key in ["config", "limits"] {
            base.shift_remove(key);
            forget(places, &child(pointer, key));
        }
    }
    for (key, value) in over {
        let inner = child(pointer, &key);
        match (base.get_mut(&key), value) {
            (Some(Json::Object(below)), Json::Object(above)) => {
                places.extend(new.get(&inner).map(|place| (inner.clone(), place.clone())));
                lay(below, places, above, new, &inner);
            }
            (_, value) => {
                forget(places, &inner);
                let under = format!("{inner}/");
                let taken = new.iter().filter(|(at, _)| **at == inner || at.starts_with(&under));
                places.extend(taken.map(|(at, place)| (at.clone(), place.clone())));
                base.insert(key, value);
            }
        }
    }
}

fn forget(places: &mut Places, pointer: &str) {
    let under = format!("{pointer}/");
    places.retain(|at, _| at != pointer && !at.starts_with(&under));
}

fn members(table: &DeTable<'_>, source: usize, pointer: &str, places: &mut Places) -> Map<String, Json> {
    table
        .iter()
        .map(|(key, value)| {
            let name = key.get_ref().to_string();
            let inner = child(pointer, &name);
            (name, json(value, key.span(), source, &inner, places))
        })
        .collect()
}

fn json(node: &Spanned<DeValue<'_>>, key: Range<usize>, source: usize, pointer: &str, places: &mut Places) -> Json {
    places.insert(pointer.to_owned(), Place { source, key, value: node.span() });
    match node.get_ref() {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
            Ok(whole) => Json::from(whole),
            // Too large for TOML: a number that every bound refuses.
            Err(_) => number(n.as_str()),
        },
        DeValue::Float(n) => number(n.as_str()),
        DeValue::Boolean(b) => Json::Bool(*b),
        DeValue::Datetime(d) => Json::String(d.to_string()),
        DeValue::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| json(item, item.span(), source, &format!("{pointer}/{i}"), places))
            .collect(),
        DeValue::Table(table) => Json::Object(members(table, source, pointer, places)),
    }
}

/// JSON has no infinities: they stay words, which a schema then refuses.
fn number(text: &str) -> Json {
    let value = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
    value.map_or_else(|| Json::String(text.to_owned()), Json::Number)
}
