//! A conversation, read from a column: messages with `role` and `content`, or with `from` and `value` as ShareGPT has them.
//!
//! What a message holds besides (`tool_calls`, `reasoning_content`, `name`, …) goes to the template as it is. As in
//! `transformers`, keys that are null are left out, and reasoning is known under its three names. Every other spelling
//! than the field's own is refused, because a template writes an unknown role without a word and nothing of it is learnt.

use retune_roles::Value;
use serde_json::{Map, Value as Json};

use crate::chat_error::ChatError;
use crate::record::Record;
use crate::speakers::{self, FUNCTION_CALL};

/// A content that is no text.
pub(crate) const PARTS: &str = "a list of parts";

/// The names of what a model thought before it spoke; the first is the one that templates read.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// Who speaks.
    pub role: String,
    /// What the template sees.
    pub fields: Json,
    /// Whether it may be learnt.
    pub weight: bool,
}

/// Messages, and the tools that are told about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conversation {
    /// In order.
    pub messages: Vec<Message>,
    /// A list, or null.
    pub tools: Json,
}

impl Message {
    /// A message of text alone.
    pub fn text(role: &str, content: &str) -> Self {
        let fields = serde_json::json!({"role": role, "content": content});
        Self { role: role.to_owned(), fields, weight: true }
    }

    /// Whether nothing is said in it: no text, no thought, no call.
    pub fn is_silent(&self) -> bool {
        let keys = ["content", "tool_calls"].into_iter().chain(REASONING);
        !keys.filter_map(|key| self.fields.get(key)).any(says)
    }

    /// What its content is where that is no text, which not every template can write.
    pub fn odd_content(&self) -> Option<&'static str> {
        match self.fields.get("content") {
            Some(Json::String(_)) => None,
            Some(_) => Some(PARTS),
            None => Some("missing, or null"),
        }
    }

    /// Whether the model is to say it.
    pub fn is_assistant(&self) -> bool {
        self.role == "assistant"
    }
}

impl Conversation {
    /// Reads the conversation in `column`, and its tools; `weight` names the field that says whether a message is learnt.
    ///
    /// # Errors
    /// The column is missing, or holds something else.
    pub fn read(record: &Record, column: &str, tools: Option<&str>, weight: &str) -> crate::Result<Self> {
        let value = record.require(column, "data.columns.messages")?;
        let place = record.key.as_str();
        let not = |found: String| ChatError::NotMessages { place: place.to_owned(), column: column.to_owned(), found };
        let items = match json(value) {
            None => return Err(not(format!("a value of kind {}", value.kind())).into()),
            Some(Json::Array(items)) => items,
            Some(other) => return Err(not(kind(&other).to_owned()).into()),
        };
        let read = |(at, item)| message(item, place, column, at + 1, weight);
        let messages = items.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let tools = match tools {
            None => Json::Null,
            Some(column) => {
                let value = record.require(column, "data.columns.tools")?;
                let not = |found: &str| ChatError::NotTools {
                    place: place.to_owned(),
                    column: column.to_owned(),
                    found: found.to_owned(),
                };
                match json(value) {
                    Some(tools @ (Json::Null | Json::Array(_))) => tools,
                    Some(other) => return Err(not(kind(&other)).into()),
                    None => return Err(not(value.kind()).into()),
                }
            }
        };
        Ok(Self { messages, tools })
    }
}

/// Whether there is anything in a value but white space; of a part of a content, in what its type names.
fn says(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::String(text) => !text.trim().is_empty(),
        Json::Array(items) => items.iter().any(says),
        Json::Object(part) if part.get("type").and_then(Json::as_str) == Some("text") => {
            part.get("text").is_some_and(says)
        }
        _ => true,
    }
}

/// A field as JSON; a text is JSON of its own, as in a CSV file. An empty one is null.
fn json(value: &Value) -> Option<Json> {
    match value {
        Value::Null => Some(Json::Null),
        Value::Text(text) if text.trim().is_empty() => Some(Json::Null),
        Value::Json(text) => serde_json::from_str(text).ok(),
        Value::Text(text) => Some(serde_json::from_str(text).unwrap_or_else(|_| Json::String(text.clone()))),
        _ => None,
    }
}

fn message(item: Json, place: &str, column: &str, number: usize, weight: &str) -> Result<Message, ChatError> {
    let place = place.to_owned();
    let Json::Object(mut fields) = item else {
        let found = format!("{} as message {number}", kind(&item));
        return Err(ChatError::NotMessages { place, column: column.to_owned(), found });
    };
    let unsaid = fields.get("content").is_some_and(Json::is_null);
    fields.retain(|_, value| !value.is_null());
    let weight = match fields.shift_remove(weight) {
        None => true,
        Some(value) => match (value.as_f64(), value.as_bool()) {
            (Some(0.0), _) | (_, Some(false)) => false,
            (Some(1.0), _) | (_, Some(true)) => true,
            _ => {
                let (field, value) = (weight.to_owned(), value.to_string());
                return Err(ChatError::WeightKind { place, message: number, field, value });
            }
        },
    };
    let said = said(&mut fields, &place, number).map_err(|mut error| {
        if let (ChatError::MessageShape { keys, .. }, true) = (&mut error, unsaid) {
            keys.push("content (null)".to_owned());
        }
        error
    })?;
    let Some(role) = speakers::role(&said).map(str::to_owned) else {
        let nearest = speakers::nearest(&said).map(str::to_owned);
        return Err(ChatError::RoleUnknown { place, message: number, role: said, nearest });
    };
    if said == FUNCTION_CALL {
        call(&mut fields);
    }
    match fields.get("content") {
        None | Some(Json::String(_) | Json::Array(_)) => {}
        Some(other) => return Err(ChatError::ContentKind { place, message: number, found: kind(other) }),
    }
    fields.insert("role".to_owned(), Json::String(role.clone()));
    Ok(Message { role, fields: Json::Object(reasoned(fields)), weight })
}

/// The role of a message, whose keys become `role` and `content`.
fn said(fields: &mut Map<String, Json>, place: &str, number: usize) -> Result<String, ChatError> {
    let shape = |fields: &Map<String, Json>| ChatError::MessageShape {
        place: place.to_owned(),
        message: number,
        keys: fields.keys().cloned().collect(),
    };
    if let Some(role) = fields.get("role") {
        // A message without content calls tools, or says what it thinks.
        let others = ["content", "tool_calls"].into_iter().chain(REASONING);
        let says = others.into_iter().any(|key| fields.contains_key(key));
        return role.as_str().filter(|_| says).map(str::to_owned).ok_or_else(|| shape(fields));
    }
    let (Some(Json::String(role)), Some(_)) = (fields.get("from").cloned(), fields.get("value")) else {
        return Err(shape(fields));
    };
    let value = fields.shift_remove("value").unwrap_or_default();
    fields.shift_remove("from");
    let rest = std::mem::take(fields);
    fields.insert("role".to_owned(), Json::String(role.clone()));
    fields.insert("content".to_owned(), value);
    fields.extend(rest);
    Ok(role)
}

/// A call that is written as text, `{"name": …, "arguments": …}`, as the call that templates know.
fn call(fields: &mut Map<String, Json>) {
    let function = fields.get("content").and_then(Json::as_str).and_then(|text| serde_json::from_str(text).ok());
    if let Some(function @ Json::Object(_)) = function {
        fields.shift_remove("content");
        let call = serde_json::json!([{"type": "function", "function": function}]);
        fields.insert("tool_calls".to_owned(), call);
    }
}

/// The message with its reasoning under each name that a template may read, as `transformers` gives it.
fn reasoned(mut fields: Map<String, Json>) -> Map<String, Json> {
    let Some(reasoning) = REASONING.into_iter().find_map(|name| fields.get(name).cloned()) else { return fields };
    fields.entry("thinking").or_insert_with(|| reasoning.clone());
    fields.insert(REASONING[0].to_owned(), reasoning);
    fields
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "nothing",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
