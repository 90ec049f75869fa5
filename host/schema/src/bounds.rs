//! What a guest's schema may cost the host.
//!
//! A schema is data, but filling in its defaults and validating against it is work
//! that runs after the guest's call, outside its deadline and its memory. A
//! kilobyte can ask for any amount of it: two keys that refer to the whole, or
//! thirty definitions that each name the next one twice. So the references of a
//! schema must be such that they can be followed here, its patterns are few and
//! small, and every configuration is first walked as the validator will walk it,
//! on a budget. Price: that walk, microseconds for an honest schema.

use serde_json::{Map, Value};

/// How deep references and nesting are followed.
const DEPTH: u32 = 128;

/// References that lead to nothing but a reference.
const HOPS: u32 = 32;

/// What one configuration may cost, in visits of a subschema by a value; an honest
/// schema costs a few for each key.
const VISITS: u64 = 100_000;

/// Visits allowed for each value of a configuration, so that long lists may be long.
const EACH: u64 = 8;

/// Entries of a list in a schema (`required`, `enum`) that a validator goes through in the time of one visit.
const ENTRIES: u64 = 16;

/// Most errors that a configuration may come to before only the first one is looked for: each takes memory.
pub(crate) const ERRORS: u64 = 20_000;

/// Patterns in a schema.
const PATTERNS: usize = 64;

/// Longest reference, in bytes.
const REFERENCE: usize = 256;

/// Bytes of a compiled pattern, and of what it remembers while it matches.
pub(crate) const PATTERN: usize = 256 << 10;

/// The schema asks for more than its budget.
#[derive(Debug)]
pub(crate) struct Endless;

/// What is left of the budget, and how many errors there may be in what was visited.
pub(crate) struct Budget {
    visits: u64,
    errors: u64,
}

impl Budget {
    /// For one configuration.
    pub(crate) fn of(config: &Value) -> Self {
        Self { visits: VISITS.saturating_add(EACH * size(config)), errors: 0 }
    }

    /// The most errors that a validator can find on its way.
    pub(crate) fn errors(&self) -> u64 {
        self.errors
    }

    pub(crate) fn spend(&mut self, cost: u64) -> Result<(), Endless> {
        self.visits = self.visits.checked_sub(cost).ok_or(Endless)?;
        self.errors = self.errors.saturating_add(cost);
        Ok(())
    }

    /// Goes through lists of a schema.
    fn compare(&mut self, entries: u64) -> Result<(), Endless> {
        self.visits = self.visits.checked_sub(entries / ENTRIES).ok_or(Endless)?;
        self.errors = self.errors.saturating_add(entries);
        Ok(())
    }
}

/// How much deeper a walk may go; each step takes one.
#[derive(Clone, Copy)]
pub(crate) struct Depth(u32);

impl Depth {
    pub(crate) const START: Self = Self(DEPTH);

    pub(crate) fn deeper(self) -> Result<Self, Endless> {
        self.0.checked_sub(1).map(Self).ok_or(Endless)
    }
}

/// Values in a value, long texts counting for several.
pub(crate) fn size(value: &Value) -> u64 {
    let text = |text: &str| text.len() as u64 / 64;
    1 + match value {
        Value::String(one) => text(one),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(key, value)| text(key) + size(value)).sum(),
        _ => 0,
    }
}

/// Follows `$ref` within the schema.
pub(crate) fn dereferenced<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..HOPS {
        let Some(target) = schema.get("$ref").and_then(|reference| target(root, reference.as_str()?)) else {
            return schema;
        };
        schema = target;
    }
    schema
}

fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// Checks what is true of a schema whatever it is used on: its references lead to
/// places within it that [`weigh`] finds as well, its patterns are few, and it can
/// be compiled. Gives the reason against it.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    Check { root: schema, patterns: 0, budget: Budget { visits: VISITS, errors: 0 } }.part(schema)
}

struct Check<'a> {
    root: &'a Value,
    patterns: usize,
    budget: Budget,
}

impl Check<'_> {
    fn part(&mut self, part: &Value) -> Result<(), String> {
        match part {
            Value::Object(members) => {
                // Compiling it goes through all that a value could meet here, branch by branch.
                if looks_again(members) {
                    let mut walk = Walk { root: self.root, budget: &mut self.budget };
                    walk.visit(part, &Value::Null, Depth::START).map_err(|Endless| "it expands without end")?;
                }
                for (key, value) in members {
                    self.keyword(part, key, value)?;
                    self.part(value)?;
                }
                Ok(())
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.part(item)),
            _ => Ok(()),
        }
    }

    fn keyword(&mut self, part: &Value, key: &str, value: &Value) -> Result<(), String> {
        match (key, value) {
            ("$ref", Value::String(reference)) if reference.len() > REFERENCE => {
                return Err(format!("a `$ref` is longer than {REFERENCE} bytes"));
            }
            ("$ref", Value::String(reference)) if target(self.root, reference).is_none() => {
                return Err(format!("`$ref` is `{reference}`, and must name a place in the schema: `#/$defs/name`"));
            }
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                return Err(format!("it uses `{key}`, which has to be a `$ref`"));
            }
            ("$id", Value::String(_)) if !std::ptr::eq(self.root, part) => {
                return Err("it has an `$id` below its root, and `$ref` would not begin at the root".into());
            }
            ("pattern", Value::String(_)) => self.patterns += 1,
            ("patternProperties", Value::Object(members)) => self.patterns += members.len(),
            _ => {}
        }
        match self.patterns > PATTERNS {
            true => Err(format!("it has more than {PATTERNS} patterns")),
            false => Ok(()),
        }
    }
}

/// Whether a schema asks what was not evaluated, which is found out by evaluating once more.
fn looks_again(schema: &Map<String, Value>) -> bool {
    schema.contains_key("unevaluatedProperties") || schema.contains_key("unevaluatedItems")
}

/// Walks `config` as the validator will: each subschema with each value it meets.
pub(crate) fn weigh(root: &Value, schema: &Value, config: &Value, budget: &mut Budget) -> Result<(), Endless> {
    Walk { root, budget }.visit(schema, config, Depth::START)
}

struct Walk<'a> {
    root: &'a Value,
    budget: &'a mut Budget,
}

impl Walk<'_> {
    fn visit(&mut self, schema: &Value, config: &Value, depth: Depth) -> Result<(), Endless> {
        self.budget.spend(1)?;
        let Some(schema) = schema.as_object() else { return Ok(()) };
        self.budget.compare(listed(schema))?;
        let deeper = depth.deeper()?;
        for _ in 0..=u8::from(looks_again(schema)) {
            self.beside(schema, config, deeper)?;
        }
        match config {
            Value::Object(members) => self.members(schema, members, deeper),
            Value::Array(items) => self.items(schema, items, deeper),
            _ => Ok(()),
        }
    }

    /// Subschemas that meet the same value.
    fn beside(&mut self, schema: &Map<String, Value>, config: &Value, depth: Depth) -> Result<(), Endless> {
        if let Some(target) = schema.get("$ref").and_then(|reference| target(self.root, reference.as_str()?)) {
            self.visit(target, config, depth)?;
        }
        let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|key| schema.get(*key)?.as_array()).flatten();
        let single = ["not", "if", "then", "else"].iter().filter_map(|key| schema.get(*key));
        let named = ["dependentSchemas", "dependencies"].iter().filter_map(|key| schema.get(*key)?.as_object());
        let named = named.flat_map(Map::values);
        lists.chain(single).chain(named).try_for_each(|part| self.visit(part, config, depth))
    }

    fn members(
        &mut self,
        schema: &Map<String, Value>,
        members: &Map<String, Value>,
        depth: Depth,
    ) -> Result<(), Endless> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        for (key, member) in members {
            if let Some(property) = properties.and_then(|properties| properties.get(key)) {
                self.visit(property, member, depth)?;
            }
            // Whether a pattern matches is not asked here: counting it costs less.
            for part in patterns.into_iter().flat_map(Map::values) {
                self.visit(part, member, depth)?;
            }
            for rest in ["additionalProperties", "unevaluatedProperties", "propertyNames"] {
                if let Some(part) = schema.get(rest) {
                    self.visit(part, member, depth)?;
                }
            }
        }
        Ok(())
    }

    fn items(&mut self, schema: &Map<String, Value>, items: &[Value], depth: Depth) -> Result<(), Endless> {
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        for (part, item) in prefix.into_iter().flatten().zip(items) {
            self.visit(part, item, depth)?;
        }
        for part in ["items", "contains", "unevaluatedItems"].iter().filter_map(|key| schema.get(*key)) {
            items.iter().try_for_each(|item| self.visit(part, item, depth))?;
        }
        Ok(())
    }
}

/// Entries of the lists that a schema compares each value with: names that must be there, values that there may be.
fn listed(schema: &Map<String, Value>) -> u64 {
    let names = |key: &str| schema.get(key).and_then(Value::as_array).map_or(0, |list| list.len() as u64);
    let depends = |key: &str| schema.get(key).and_then(Value::as_object).into_iter().flat_map(Map::values);
    let depends = ["dependentRequired", "dependencies"].into_iter().flat_map(depends);
    let depends: u64 = depends.map(|names| 1 + names.as_array().map_or(0, |list| list.len() as u64)).sum();
    let values = ["enum", "const"].iter().filter_map(|key| schema.get(*key)).map(size).sum::<u64>();
    names("required") + depends + values
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(schema: Value) -> String {
        check(&schema).unwrap_err()
    }

    #[test]
    fn a_reference_that_cannot_be_followed_here_is_refused() {
        let refusals = [
            json!({"$ref": "http://example.com/schema.json"}),
            json!({"properties": {"a": {"$ref": "#anchor"}}}),
            json!({"$ref": "#/$defs/none", "$defs": {}}),
            json!({"$ref": format!("#/{}", "a".repeat(300))}),
            json!({"allOf": [{"$dynamicRef": "#/$defs/a"}], "$defs": {"a": {}}}),
            json!({"$defs": {"a": {"$id": "http://example.com/a", "$ref": "#"}}}),
        ];
        insta::assert_snapshot!(refusals.map(refusal).join("\n"), @r"
        `$ref` is `http://example.com/schema.json`, and must name a place in the schema: `#/$defs/name`
        `$ref` is `#anchor`, and must name a place in the schema: `#/$defs/name`
        `$ref` is `#/$defs/none`, and must name a place in the schema: `#/$defs/name`
        a `$ref` is longer than 256 bytes
        it uses `$dynamicRef`, which has to be a `$ref`
        it has an `$id` below its root, and `$ref` would not begin at the root
        ");
        assert_eq!(
            check(&json!({"$id": "urn:x", "$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b~1c"}, "b/c": {}}})),
            Ok(())
        );
        // A key may have any name.
        assert_eq!(check(&json!({"properties": {"$ref": {}, "$id": {}, "pattern": {}}})), Ok(()));
    }

    #[test]
    fn patterns_are_few() {
        let many = |n: usize| {
            let patterns = |prefix: &str, n: usize| -> Map<String, Value> {
                (0..n).map(|i| (format!("{prefix}{i}"), json!({"pattern": "a"}))).collect()
            };
            json!({"properties": patterns("", n - PATTERNS / 4), "patternProperties": patterns("p", PATTERNS / 8)})
        };
        assert_eq!(check(&many(PATTERNS)), Ok(()));
        assert_eq!(refusal(many(PATTERNS + 1)), "it has more than 64 patterns");
    }

    #[test]
    fn a_long_list_is_not_taken_for_an_endless_schema() {
        let schema = json!({"properties": {"alpha": {"items": {"anyOf": [{"type": "number"}, {"type": "null"}]}}}});
        let config = json!({"alpha": vec![0.5; 300_000]});
        assert!(weigh(&schema, &schema, &config, &mut Budget::of(&config)).is_ok());
    }
}
