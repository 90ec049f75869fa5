//! What the user is told when something is wrong.
//!
//! A [`Diagnostic`] is one sentence, where known the place in a file, and the
//! next step. Everything that can fail in this crate ends as one; the printer in
//! [`Diagnostic::render`] is the only one. Whatever words it is made of, it holds them without control characters
//! and of bounded length.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use retune_roles::Failure;
use retune_roles::file::no_file;
use retune_roles::text::{line, shortened, visible};

/// Most characters of a sentence.
const LONGEST: usize = 8_000;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Diagnostic>;

/// A file's text, to point into.
#[derive(Clone, Debug)]
pub struct Text {
    /// As the user wrote the path.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

/// One thing wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic(Box<Inner>);

#[derive(Clone, Debug, Default)]
struct Inner {
    message: String,
    source: Option<NamedSource<Arc<str>>>,
    labels: Vec<LabeledSpan>,
    causes: Vec<String>,
    frames: Vec<String>,
    help: Vec<String>,
    also: Vec<Diagnostic>,
}

impl Diagnostic {
    /// One sentence without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self(Box::new(Inner { message: shortened(&message.into(), LONGEST), ..Inner::default() }))
    }

    /// Points at `span` of `text`.
    #[must_use]
    pub fn at(mut self, text: &Text, span: Range<usize>, label: impl Into<String>) -> Self {
        self.0.source = Some(NamedSource::new(line(&text.name, LONGEST), shown(&text.text)));
        // A span past the end would hide the snippet; an empty one its caret.
        let end = text.text.len();
        let start = span.start.min(end);
        let length = span.end.min(end).saturating_sub(start).max(usize::from(start < end));
        self.0.labels.push(LabeledSpan::new(Some(line(&label.into(), LONGEST)), start, length));
        self
    }

    /// Points at `span`, when there is one.
    #[must_use]
    pub fn at_some(self, text: &Text, span: Option<Range<usize>>, label: impl Into<String>) -> Self {
        match span {
            Some(span) => self.at(text, span, label),
            None => self,
        }
    }

    /// Adds a next step; several become several lines.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help.push(shortened(&help.into(), LONGEST));
        self
    }

    /// Adds a next step when there is one.
    #[must_use]
    pub fn help_some(self, help: Option<impl Into<String>>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    /// Adds the reason underneath.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.causes.push(shortened(&cause.to_string(), LONGEST));
        self
    }

    /// Several diagnostics as one; none is no diagnostic.
    pub fn all(mut diagnostics: Vec<Diagnostic>) -> Option<Self> {
        if diagnostics.is_empty() {
            return None;
        }
        let mut first = diagnostics.remove(0);
        first.0.also.append(&mut diagnostics);
        Some(first)
    }

    /// How many things are wrong, this one included.
    pub fn count(&self) -> usize {
        1 + self.0.also.iter().map(Self::count).sum::<usize>()
    }

    /// As printed on standard error: wrapped at `width`, or not at all, so that
    /// paths and commands stay whole where no person reads along.
    pub fn render(&self, color: bool, width: Option<usize>) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width.unwrap_or(100))
            .with_wrap_lines(width.is_some())
            .with_break_words(false)
            .with_context_lines(1)
            .with_links(false);
        let mut out = String::new();
        self.render_into(&handler, &mut out);
        if self.count() > 1 {
            out.push_str(&format!("\n{} things are wrong.\n", self.count()));
        }
        out
    }

    fn render_into(&self, handler: &GraphicalReportHandler, out: &mut String) {
        // A formatter that cannot write to a String does not exist; the plain sentence stands in.
        if handler.render_report(out, self).is_err() {
            out.push_str(&self.0.message);
            out.push('\n');
        }
        for other in &self.0.also {
            out.push('\n');
            other.render_into(handler, out);
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for cause in &self.0.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

impl miette::Diagnostic for Diagnostic {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let mut text = String::new();
        if !self.0.frames.is_empty() {
            text.push_str("the plugin's backtrace, innermost first:\n");
            for (i, frame) in self.0.frames.iter().enumerate() {
                text.push_str(&format!("{i:>3}: {frame}\n"));
            }
        }
        text.push_str(&self.0.help.join("\n"));
        let text = text.trim_end().to_owned();
        (!text.is_empty()).then(|| Box::new(text) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.0.labels.is_empty()).then(|| Box::new(self.0.labels.iter().cloned()) as Box<_>)
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        let mut diagnostic = Self::new(failure.to_string());
        let details = failure.details();
        diagnostic.0.frames = details.backtrace.clone();
        let own_fault =
            (!details.backtrace.is_empty()).then(|| "the plugin must be fixed; the frames above say where".to_owned());
        diagnostic.help_some(details.help.clone().or(own_fault))
    }
}

/// `text` as it can be printed: another character of the same length stands for each that rewrites a screen, so that what is pointed
/// at stays where it is.
fn shown(text: &Arc<str>) -> Arc<str> {
    if visible(text) == **text {
        return text.clone();
    }
    let fit = |(at, c): (usize, char)| match c {
        '\r' if text[at + 1..].starts_with('\n') => c,
        c if visible(c.encode_utf8(&mut [0; 4])) == c.to_string() => c,
        c => match c.len_utf8() {
            1 => '?',
            2 => '\u{bf}',
            _ => '\u{fffd}',
        },
    };
    text.char_indices().map(fit).collect::<String>().into()
}

/// "cannot read `path`", with the nearest name beside it when it does not exist.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Diagnostic::new(format!("`{}` does not exist", path.display())).help_some(nearest_path(path));
    }
    if let Some(what) = no_file(path) {
        return Diagnostic::new(format!("`{}` is {what}, not a file", path.display()));
    }
    Diagnostic::new(format!("cannot read `{}`", path.display())).because(error)
}

/// What stands where `path` should: the nearest name, or the folder that is missing.
pub fn nearest_path(path: &Path) -> Option<String> {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let Ok(entries) = std::fs::read_dir(parent) else {
        let known = parent.ancestors().find(|a| a.is_dir() && !a.as_os_str().is_empty());
        return Some(match known {
            Some(known) => {
                format!("the folder `{}` does not exist either; `{}` does", parent.display(), known.display())
            }
            None => format!("the folder `{}` does not exist either", parent.display()),
        });
    };
    let mut names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let wanted = path.file_name()?.to_string_lossy();
    let near = retune_roles::nearest::nearest(&wanted, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{}`?", parent.join(near).display()))
}

/// `a`, `b`, `c`, each in backticks; for "allowed: …".
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}
