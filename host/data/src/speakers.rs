//! Who speaks in a conversation: the names that templates know, and what other collections call them.

/// The names that templates know.
pub(crate) const ROLES: [&str; 10] =
    ["system", "developer", "user", "assistant", "tool", "function", "ipython", "environment", "documents", "control"];

/// ShareGPT's names, and those of other collections, for the ones that templates know.
const ALIASES: [(&str, &str); 8] = [
    ("human", "user"),
    ("gpt", "assistant"),
    ("chatgpt", "assistant"),
    ("bot", "assistant"),
    ("model", "assistant"),
    (FUNCTION_CALL, "assistant"),
    ("observation", "tool"),
    ("function_response", "tool"),
];

/// An assistant that calls a function, and says so in its content.
pub(crate) const FUNCTION_CALL: &str = "function_call";

/// The role that somebody means by `name`.
pub(crate) fn role(name: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    alias.or_else(|| ROLES.into_iter().find(|role| *role == name))
}

/// The nearest known name.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    retune_roles::nearest::nearest(name, ROLES.into_iter().chain(ALIASES.map(|(theirs, _)| theirs)))
}
