//! The empty WASI, linked: what a standard library imports by habit is answered, by nothing.
//!
//! Guests' standard libraries import WASI whether they use it or not. Nothing here ever blocks. A guest that asks
//! to be woken later is woken at once, because a guest asleep in the host would outlive its deadline.
//! `wasi:sockets` and `wasi:http` are not linked: see [`crate::imports`].

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sync};
use wasmtime_wasi::p2::{DynOutputStream, DynPollable, OutputStream, Pollable, StreamResult, subscribe};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{HostMonotonicClock, WasiView};
use wasmtime_wasi_io::bytes::Bytes;

use crate::state::State;
use crate::wasi::{Frozen, Printed};

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
        Ok(HostMonotonicClock::now(&Frozen))
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
