//! A WASI with nothing in it.
//!
//! Guests' standard libraries import WASI whether they use it or not, so it is
//! linked; but there are no files, no environment, no arguments and no input.
//! Time stands still, chance is a function of the seed, and what the guest prints
//! is kept (the last [`KEPT`] bytes) for the message of a trap: a Rust panic says
//! there what went wrong.
//!
//! Nothing here ever blocks. A guest that asks to be woken later is woken at
//! once, because a guest asleep in the host would outlive its deadline.
//! `wasi:sockets` and `wasi:http` are not linked: see [`crate::imports`].

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sync};
use wasmtime_wasi::p2::{DynOutputStream, DynPollable, OutputStream, Pollable, StreamResult, subscribe};
use wasmtime_wasi::random::{Deterministic, WasiRandom};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiView};
use wasmtime_wasi_io::bytes::Bytes;

use crate::state::State;

/// Bytes of the guest's output that are kept.
const KEPT: usize = 16 << 10;

/// Bytes of randomness before it repeats.
const CHANCE: usize = 4 << 10;

/// A context that grants nothing. `seed` is where its randomness comes from.
pub(crate) fn empty(seed: u64) -> WasiCtx {
    WasiCtxBuilder::new()
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .wall_clock(Frozen)
        .monotonic_clock(Frozen)
        .secure_random(Deterministic::new(chance(seed, b"secure")))
        .insecure_random(Deterministic::new(chance(seed, b"insecure")))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(1 << 20)
        .build()
}

fn chance(seed: u64, purpose: &[u8]) -> Vec<u8> {
    (0..CHANCE / 32)
        .flat_map(|block| {
            let mut hash = Sha256::new();
            hash.update(seed.to_le_bytes());
            hash.update(purpose);
            hash.update((block as u64).to_le_bytes());
            <[u8; 32]>::from(hash.finalize())
        })
        .collect()
}

/// Time that stands still, but not at zero: Go's runtime takes a zero clock for a broken one.
struct Frozen;

/// 1 January 2025, 00:00 UTC.
const NOW: Duration = Duration::from_secs(1_735_689_600);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn now(&self) -> Duration {
        NOW
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }
    fn now(&self) -> u64 {
        1_000_000_000
    }
}

/// What the guest printed last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed(Arc<Mutex<VecDeque<u8>>>);

impl Printed {
    pub(crate) fn write(&self, text: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&text[text.len().saturating_sub(KEPT)..]);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }

    /// Takes what is there.
    pub(crate) fn take(&self) -> String {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.drain(..).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The stream behind the guest's stdout and stderr: always ready, never full.
struct Pipe(Printed);

/// Most bytes one write may bring.
const WRITE: usize = 64 << 10;

#[wasmtime_wasi_io::async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.write(&bytes);
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
    fn write_zeroes(&mut self, _: usize) -> StreamResult<()> {
        Ok(())
    }
}

/// An event that has already happened.
struct Past;

#[wasmtime_wasi_io::async_trait]
impl Pollable for Past {
    async fn ready(&mut self) {}
}

/// The interfaces that are answered here and not by `wasmtime-wasi`.
pub(crate) struct Own<'a> {
    table: &'a mut ResourceTable,
    printed: &'a Printed,
}

struct HasOwn;

impl HasData for HasOwn {
    type Data<'a> = Own<'a>;
}

impl Own<'_> {
    fn pipe(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(Pipe(self.printed.clone()));
        Ok(self.table.push(stream)?)
    }

    fn past(&mut self) -> wasmtime::Result<Resource<DynPollable>> {
        let past = self.table.push(Past)?;
        subscribe(self.table, past)
    }
}

impl cli::stdout::Host for Own<'_> {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.pipe()
    }
}

impl cli::stderr::Host for Own<'_> {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.pipe()
    }
}

impl clocks::monotonic_clock::Host for Own<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(Frozen.now_nanos())
    }
    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }
    fn subscribe_instant(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.past()
    }
    fn subscribe_duration(&mut self, _: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.past()
    }
}

impl Frozen {
    fn now_nanos(&self) -> u64 {
        HostMonotonicClock::now(self)
    }
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links every interface a guest may import from WASI, one line each.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let l = linker;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, HasOwn>(l, own)?;
    cli::stderr::add_to_linker::<State, HasOwn>(l, own)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, HasOwn>(l, own)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    sync::filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    random::random::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    random::insecure::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |s| s.ctx().ctx.random())?;
    wasmtime_wasi_io::bindings::wasi::io::error::add_to_linker::<State, HasTable>(l, |s| &mut s.table)?;
    sync::io::poll::add_to_linker::<State, HasTable>(l, |s| &mut s.table)?;
    sync::io::streams::add_to_linker::<State, HasTable>(l, |s| &mut s.table)
}

fn own(state: &mut State) -> Own<'_> {
    Own { table: &mut state.table, printed: &state.printed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let printed = Printed::default();
        printed.write(&vec![b'a'; KEPT * 3]);
        printed.write(b"the end");
        let text = printed.take();
        assert_eq!(text.len(), KEPT);
        assert!(text.ends_with("the end"));
        assert_eq!(printed.take(), "");
    }

    #[test]
    fn chance_depends_on_the_seed_alone() {
        assert_eq!(chance(7, b"secure"), chance(7, b"secure"));
        assert_ne!(chance(7, b"secure"), chance(8, b"secure"));
        assert_ne!(chance(7, b"secure"), chance(7, b"insecure"));
        assert_eq!(chance(7, b"secure").len(), CHANCE);
    }
}
