//! Loading a component in a process of its own, as the process that asks sees it.
//!
//! What parses, compiles and first instantiates a component works on bytes that nobody has looked at: compiling alone can take
//! minutes and gigabytes for some kilobytes of code. So it happens in a child, the same program started again, that the
//! operating system bounds ([`Allowance`]) and whose answer is read like a guest's: as text, up to a length. What the child
//! compiled lies in a file of the cache of compiled code, where it stays when the component is accepted. [`crate::acceptance`] is
//! the child's side.
//!
//! Price: starting the program once, for a component that this host has not accepted before; see BENCHMARKS.md.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use retune_roles::text::shortened;

use crate::apart::{Accepted, Allowance, Said, Stage, VERB, is_asked_for};
use crate::error::LoadError;

/// Longest answer of a child, in bytes: a schema of the longest length, as JSON text within JSON.
const ANSWER: u64 = 4 << 20;

/// What is read of a child's standard error, in bytes.
const WORDS: u64 = 64 << 10;

/// How to start the program that loads components.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    program: PathBuf,
}

impl Loader {
    /// This program itself, when it begins with [`crate::acceptance::requested`].
    pub(crate) fn this_program() -> Option<Self> {
        if !is_asked_for() {
            return None;
        }
        // The name of what runs, whatever lies at its path by now.
        let itself = Path::new("/proc/self/exe");
        let program = if itself.exists() { itself.to_owned() } else { std::env::current_exe().ok()? };
        Some(Self { program })
    }

    /// Has the component `bytes`, read from `path`, compiled into the file `code`, and asked for its schema.
    pub(crate) fn load(&self, path: &Path, bytes: &[u8], code: &Path) -> Result<Accepted, LoadError> {
        let allowance = Allowance::of(bytes.len() as u64);
        let lost = |reason: String| LoadError::Loader { path: path.to_owned(), reason };
        let mut child = self.start(path, code, allowance).map_err(|e| lost(format!("it does not start: {e}")))?;
        let told = attend(&mut child, bytes, allowance.wall).map_err(|e| lost(e.to_string()))?;
        match told.end {
            End::Late => Err(costly(path, told.stage, format!("more than {} s", allowance.wall.as_secs()))),
            End::Exited(status) => match told.said {
                Some(Ok(accepted)) if status.success() => Ok(*accepted),
                Some(Err(refusal)) => Err(*refusal),
                _ => Err(died(path, &told, status, allowance)),
            },
        }
    }

    fn start(&self, path: &Path, code: &Path, allowance: Allowance) -> std::io::Result<Child> {
        let allowed = serde_json::to_string(&allowance)?;
        let arguments: [OsString; 4] = [VERB.into(), allowed.into(), path.into(), code.into()];
        let mut command = Command::new(&self.program);
        // Each thread has a stack and a heap of its own, which the bound on memory counts.
        command.env("RAYON_NUM_THREADS", threads().to_string()).env("MALLOC_ARENA_MAX", "2");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }
}

/// How many threads compile.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

/// How a child came to its end.
enum End {
    Exited(ExitStatus),
    /// It was ended because its time was over.
    Late,
}

/// What a child said until then.
struct Told {
    stage: Stage,
    said: Option<Result<Box<Accepted>, Box<LoadError>>>,
    words: String,
    end: End,
}

/// Hands the component over and waits for the answer, at most so long.
fn attend(child: &mut Child, bytes: &[u8], wall: Duration) -> std::io::Result<Told> {
    let (mut input, output, error) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let deadline = Instant::now() + wall;
    std::thread::scope(|scope| {
        let (send, receive) = channel();
        let answers = send.clone();
        scope.spawn(move || answers.send((true, limited(output, ANSWER))));
        scope.spawn(move || send.send((false, limited(error, WORDS))));
        // A child that has died does not read: that it died is told by its status.
        scope.spawn(move || input.as_mut().map(|input| input.write_all(bytes)));
        let (mut answer, mut words, mut late) = (String::new(), String::new(), false);
        loop {
            match receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((true, text)) => answer = text,
                Ok((false, text)) => words = text,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    late = true;
                    child.kill()?;
                    break;
                }
            }
        }
        // Both ends of its output are closed, or it is killed: it ends now.
        let status = child.wait()?;
        let mut told = Told { stage: Stage::Start, said: None, words, end: End::Exited(status) };
        for said in answer.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            match said {
                Said::Stage(stage) => told.stage = stage,
                Said::Accepted(accepted) => told.said = Some(Ok(accepted)),
                Said::Refused(refusal) => told.said = Some(Err(refusal)),
            }
        }
        if late {
            told.end = End::Late;
        }
        Ok(told)
    })
}

/// The beginning of what comes; the rest is read and dropped, so that the child does not wait.
fn limited(stream: Option<impl Read>, most: u64) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.by_ref().take(most).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn costly(path: &Path, stage: Stage, amount: String) -> LoadError {
    LoadError::Costly { path: path.to_owned(), doing: stage.words().to_owned(), amount }
}

/// Why a child ended that gave no answer.
fn died(path: &Path, told: &Told, status: ExitStatus, allowance: Allowance) -> LoadError {
    let memory = || costly(path, told.stage, format!("more than {} MiB of memory", allowance.memory_mib));
    // What Rust's allocator, C++'s and the system say.
    if ["memory allocation of", "bad_alloc", "Cannot allocate memory", "out of memory"]
        .iter()
        .any(|words| told.words.contains(words))
    {
        return memory();
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal {
            SIGXCPU => costly(path, told.stage, format!("more than {} s of processor time", allowance.processor_s)),
            // The system's own answer to a lack of memory.
            SIGKILL => memory(),
            signal => broke(path, told, format!("signal {signal}")),
        };
    }
    broke(path, told, status.to_string())
}

#[cfg(unix)]
const SIGKILL: i32 = 9;
#[cfg(unix)]
const SIGXCPU: i32 = 24;

fn broke(path: &Path, told: &Told, how: String) -> LoadError {
    let last = told.words.trim().lines().next_back().unwrap_or_default();
    let words = if last.is_empty() { String::new() } else { format!(": {}", shortened(last, 200)) };
    LoadError::Broke { path: path.to_owned(), doing: told.stage.words().to_owned(), how: format!("{how}{words}") }
}
