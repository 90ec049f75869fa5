//! A trap in words: what happened, where in the guest, what to do.

use retune_roles::text;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::given::sentence;
use crate::limits::{Limits, Refused};
use crate::state::State;
use crate::violation::Violation;

/// What is told about a trap.
pub(crate) struct Told {
    pub reason: String,
    pub help: Option<String>,
    pub frames: Vec<String>,
}

/// Explains `error`, which ended a call of the guest.
pub(crate) fn tell(error: &wasmtime::Error, state: &mut State, limits: &Limits) -> Told {
    let printed = state.printed.take();
    let frames = frames(error);
    let (reason, help) = words(error, state.limiter.take_refused(), limits, &printed);
    let overflowed = matches!(error.downcast_ref::<Trap>(), Some(Trap::MemoryOutOfBounds | Trap::StackOverflow));
    if let (true, Some(name)) = (overflowed, recursive(error)) {
        return Told { reason: format!("used up its stack: `{name}` calls itself without end"), help, frames };
    }
    Told { reason, help, frames }
}

fn words(
    error: &wasmtime::Error,
    refused: Option<Refused>,
    limits: &Limits,
    printed: &str,
) -> (String, Option<String>) {
    if let Some(violation) = error.downcast_ref::<Violation>() {
        return (violation.reason.clone(), violation.help.clone());
    }
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        let help = "a plugin answers with an error and does not end the process";
        return (format!("ended itself with exit status {status}"), Some(help.into()));
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return (
            format!("ran longer than {} ms", limits.deadline_ms),
            Some("raise `limits.deadline_ms`, or let the plugin do less in one call".into()),
        );
    }
    match refused {
        Some(Refused::Memory) => {
            return (
                format!("needed more than {} MiB of memory", limits.memory_mib),
                Some("raise `limits.memory_mib`, or let the plugin keep less".into()),
            );
        }
        Some(Refused::Table) => {
            return (
                format!("needed more than {} table elements", limits.table_elements),
                Some("raise `limits.table_elements`".into()),
            );
        }
        None => {}
    }
    let text = format!("{error:#}");
    let root = error.root_cause().to_string();
    if root.contains("too much data is being copied") {
        return (
            format!("handed the host more than {} MiB in one call", limits.copy_mib),
            Some("return less in one call, or raise `limits.copy_mib`".into()),
        );
    }
    if root.contains("handle limit exceeded") || root.contains("no free keys") {
        let Violation { reason, help } = Violation::handles(limits.handles);
        return (reason, help);
    }
    if let Some((reason, help)) = wrong_handle(&root) {
        return (reason, Some(help.into()));
    }
    if text.contains("instance count too high") || text.contains("table count too high") {
        return (
            format!("is made of more than {} core instances or tables", limits.instances),
            Some("raise `limits.instances`".into()),
        );
    }
    if let Some(said) = panic_message(printed, trap) {
        return (format!("panicked: {said}"), None);
    }
    (trap.map_or(root, |trap| fault(*trap).to_owned()), None)
}

/// What the guest did to a handle, told from the engine's words: its author knows tensors and batches, not an index.
fn wrong_handle(root: &str) -> Option<(String, &'static str)> {
    let number = root.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty());
    let number = number.map(|number| format!(" (number {number})")).unwrap_or_default();
    let once = "a tensor or batch may be dropped, or given to the host, once; after that its handle is nobody's";
    let kinds = "a tensor is no batch, and what is lent to an operation stays the plugin's";
    let (said, help) = if root.contains("unknown handle index") || root.contains("resource not present") {
        ("used a handle that it does not hold: dropped before, given away, or never its own", once)
    } else if root.contains("used with the wrong type") || root.contains("resource is of another type") {
        ("used a handle as something that it is not", kinds)
    } else if root.contains("is not a resource") || root.contains("is not an own resource") {
        ("used something that is no handle of its own as one", kinds)
    } else if root.contains("cannot lift own resource from a borrow") {
        ("gave away a handle that it was only lent", kinds)
    } else if root.contains("cannot remove owned resource while borrowed") {
        ("dropped or gave away a handle that it had lent at the same time", once)
    } else if root.contains("borrow handles still remain") {
        ("kept a handle that it was lent for one call", kinds)
    } else {
        return None;
    };
    Some((format!("{said}{number}"), help))
}

fn fault(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "used up its stack, perhaps by calling itself without end",
        Trap::MemoryOutOfBounds => "reached outside its memory (a wrong pointer, or recursion that used up its stack)",
        Trap::UnreachableCodeReached => "gave up (a panic, an abort, or code marked unreachable)",
        Trap::IntegerDivisionByZero => "divided an integer by zero",
        Trap::IntegerOverflow => "overflowed an integer in a division",
        Trap::BadConversionToInteger => "converted a float that no integer can hold",
        Trap::IndirectCallToNull | Trap::BadSignature | Trap::TableOutOfBounds => "called a function that is not there",
        Trap::CannotLeaveComponent => {
            "called the host where the component model forbids it (in a destructor or an allocator)"
        }
        _ => "broke a rule of WebAssembly",
    }
}

/// What a panicking guest said: Rust's message without the place (the backtrace has
/// it), or the last line another language printed before it gave up. A trap of
/// another kind says more than whatever was printed before it.
fn panic_message(printed: &str, trap: Option<&Trap>) -> Option<String> {
    let printed = printed.trim();
    let message = match printed.rfind("panicked at ") {
        Some(start) => {
            let said = printed[start..].split_once('\n').map_or("", |(_, rest)| rest);
            said.split("\nnote: ").next().unwrap_or(said).trim()
        }
        None if trap == Some(&Trap::UnreachableCodeReached) => printed.lines().last()?.trim(),
        None => return None,
    };
    (!message.is_empty()).then(|| sentence(message))
}

/// The guest's stack, innermost first: its author's functions, or all of it when
/// nothing tells which those are.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let all: Vec<Frame> = trace.frames().iter().flat_map(described).collect();
    let own: Vec<&Frame> = all.iter().filter(|frame| !frame.machinery).collect();
    let kept = if own.is_empty() { all.iter().collect() } else { own };
    let mut shown: Vec<String> = kept.into_iter().map(|frame| frame.shown.clone()).collect();
    shown.dedup();
    shown.truncate(SHOWN);
    shown
}

/// Most frames that are shown.
const SHOWN: usize = 16;

/// Most characters of a function's name, and of its file's.
const FRAME: usize = 300;

/// The function that fills the stack, when one does.
fn recursive(error: &wasmtime::Error) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let deepest = frames.last()?.func_name()?;
    let repeated = frames.iter().filter(|frame| frame.func_name() == Some(deepest)).count();
    (frames.len() >= 16 && repeated * 2 >= frames.len()).then(|| demangled(deepest))
}

/// One function on the stack; several share a place where some were inlined.
struct Frame {
    shown: String,
    /// From a standard library, an allocator, the SDK or a binding generator.
    machinery: bool,
}

fn described(frame: &FrameInfo) -> Vec<Frame> {
    let physical = frame.func_name().map(demangled);
    if frame.symbols().is_empty() {
        return vec![match physical {
            Some(name) => Frame { machinery: library_name(&name), shown: name },
            None => {
                let shown = format!("function {} of the component", frame.func_index());
                Frame { shown, machinery: true }
            }
        }];
    }
    let last = frame.symbols().len() - 1;
    let symbols = frame.symbols().iter().enumerate().map(|(index, symbol)| {
        // The outermost is the function itself, whose linkage name says more.
        let inlined = symbol.name().map(demangled);
        let name = if index == last { physical.clone().or(inlined) } else { inlined };
        let name = name.unwrap_or_else(|| "unnamed".into());
        let file = symbol.file().unwrap_or_default();
        let machinery = library_name(&name) || library_file(file);
        let shown = match symbol.line() {
            Some(line) if !file.is_empty() => format!("{name} ({}:{line})", text::line(short(file), FRAME)),
            _ => name,
        };
        Frame { shown, machinery }
    });
    symbols.collect()
}

fn library_name(name: &str) -> bool {
    const PREFIXES: [&str; 12] = [
        "std::",
        "core::",
        "alloc::",
        "<std::",
        "<core::",
        "<alloc::",
        "rust_",
        "rustc::",
        "abort",
        "dlmalloc::",
        "retune_sdk::",
        "<retune_sdk::",
    ];
    let name = name.trim_start_matches('_');
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || name.contains("retune_sdk::guest::")
}

fn library_file(path: &str) -> bool {
    const PARTS: [&str; 7] =
        ["/rustc/", "/library/", "wasi-libc", "cloudlibc", "/sdk/rust/src/", "/retune-sdk-", "/wit-bindgen-"];
    PARTS.iter().any(|part| path.contains(part))
}

/// A path from the crate's root on: what comes before says where it was built.
fn short(file: &str) -> &str {
    let at = file.rfind("/src/").map(|at| file[..at].rfind('/').map_or(0, |root| root + 1));
    at.map_or(file, |at| &file[at..])
}

/// A Rust symbol without its hash; other names as they are.
fn demangled(name: &str) -> String {
    text::line(&format!("{:#}", rustc_demangle::demangle(name)), FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rust_panic_is_told_without_place_and_note() {
        let printed = "some line\nthread 'main' (1) panicked at src/lib.rs:3:5:\nno such class\n\
                       note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let gave_up = Some(&Trap::UnreachableCodeReached);
        assert_eq!(panic_message(printed, gave_up).as_deref(), Some("no such class"));
        assert_eq!(panic_message("Traceback\nValueError: bad\n", gave_up).as_deref(), Some("ValueError: bad"));
        assert_eq!(panic_message("  \n", gave_up), None);
    }

    #[test]
    fn a_handle_that_is_not_the_plugins_is_told_as_what_it_did() {
        let told = |said: &'static str| words(&wasmtime::format_err!(said), None, &Limits::default(), "").0;
        assert_eq!(
            told("unknown handle index 4"),
            "used a handle that it does not hold: dropped before, given away, or never its own (number 4)"
        );
        assert_eq!(
            told("handle index 12 used with the wrong type, expected guest-defined resource"),
            "used a handle as something that it is not (number 12)"
        );
        assert_eq!(told("cannot lift own resource from a borrow"), "gave away a handle that it was only lent");
    }

    #[test]
    fn a_line_that_was_printed_does_not_stand_in_for_the_trap() {
        let told = |trap: Trap| words(&trap.into(), None, &Limits::default(), "loaded\n").0;
        assert_eq!(told(Trap::IntegerDivisionByZero), "divided an integer by zero");
        assert_eq!(told(Trap::UnreachableCodeReached), "panicked: loaded");
    }

    #[test]
    fn machinery_is_told_from_the_authors_code() {
        assert!(library_name("core::panicking::panic_fmt"));
        assert!(library_name("__rustc::rust_begin_unwind"));
        assert!(library_name("abort"));
        assert!(library_file("/home/a/.cargo/registry/src/index/retune-sdk-0.1.0/src/guest.rs"));
        assert!(!library_name("focal::weights"));
        assert!(!library_name("<focal::Focal as retune_sdk::loss::Loss>::compute"));
        assert!(!library_file("/home/a/focal/src/lib.rs"));
    }

    #[test]
    fn a_path_starts_at_the_crate() {
        assert_eq!(short("/home/a/plugins/focal/src/lib.rs"), "focal/src/lib.rs");
        assert_eq!(short("src/lib.rs"), "src/lib.rs");
        assert_eq!(short("main.c"), "main.c");
    }
}
