//! The contract's `logging` interface: a guest's lines become events of the host's log.

use retune_roles::text::shortened;
use tracing::Level as Shown;
use tracing::level_filters::LevelFilter;
use wasmtime::Result;

use crate::bindings::host::logging::{self, Level};
use crate::state::{LOG_LINES, State};

/// Longest message, in characters.
const MESSAGE: usize = 2_000;

/// Most fields of a line.
const FIELDS: usize = 16;

impl logging::Host for State {
    fn log(&mut self, level: Level, message: String, fields: Vec<(String, String)>) -> Result<()> {
        self.log_lines = self.log_lines.saturating_add(1);
        let plugin = &*self.plugin;
        if self.log_lines == LOG_LINES {
            tracing::warn!(target: "plugin", plugin, "logs more than {LOG_LINES} lines in one call; the rest is dropped");
        }
        if self.log_lines >= LOG_LINES {
            self.meter.drop_line();
            return Ok(());
        }
        let said = message.len().saturating_add(fields.iter().map(|(name, value)| name.len() + value.len()).sum());
        if !self.may_say(said) {
            if self.meter.drop_line() {
                tracing::warn!(target: "plugin", plugin, "has said all that `limits.words_mib` lets it in this run; its further log lines are dropped");
            }
            return Ok(());
        }
        let mut text = shortened(&message, MESSAGE);
        for (name, value) in fields.iter().take(FIELDS) {
            text.push_str(&format!(" {}={}", shortened(name, 64), shortened(value, 256)));
        }
        match level {
            Level::Trace => tracing::event!(target: "plugin", Shown::TRACE, plugin, "{text}"),
            Level::Debug => tracing::event!(target: "plugin", Shown::DEBUG, plugin, "{text}"),
            Level::Info => tracing::event!(target: "plugin", Shown::INFO, plugin, "{text}"),
            Level::Warn => tracing::event!(target: "plugin", Shown::WARN, plugin, "{text}"),
            Level::Error | Level::Critical => tracing::event!(target: "plugin", Shown::ERROR, plugin, "{text}"),
        }
        Ok(())
    }

    fn max_level(&mut self) -> Result<Level> {
        Ok(match LevelFilter::current().into_level() {
            Some(Shown::TRACE) => Level::Trace,
            Some(Shown::DEBUG) => Level::Debug,
            Some(Shown::INFO) => Level::Info,
            Some(Shown::WARN) => Level::Warn,
            Some(_) | None => Level::Error,
        })
    }
}
