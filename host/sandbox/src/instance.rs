//! One use of a plugin: its store, its limits, and the way every call goes.
//!
//! Invariants. Limits hold before the first instruction of the guest. Each call
//! has its own deadline. After a trap the instance is gone, its memory with it,
//! and later calls answer that it has stopped. Price of a call beyond the guest's
//! own work: setting the deadline and a walk over the open handles.

use std::time::{Duration, Instant};

use retune_roles::{ErrorKind, Failure, Result, RoleKind};
use retune_tensor::Device;
use wasmtime::component::Instance as Component;
use wasmtime::{Store, Trap};

use crate::bindings::guest;
use crate::bindings::host::types;
use crate::engine::TICK;
use crate::given::{self, Refused};
use crate::limits::{Limits, bytes};
use crate::meter::Meter;
use crate::plugin::{Plugin, Setup};
use crate::state::{State, guarded};
use crate::trap;

/// Bytes that a call may say without being counted.
const FREE_WORDS: usize = 256;

/// A plugin playing one role.
pub(crate) struct Instance {
    who: String,
    role: RoleKind,
    limits: Limits,
    meter: Meter,
    /// `None` once a trap has ended it.
    live: Option<Live>,
    /// Why it ended.
    stopped: Option<String>,
}

struct Live {
    store: Store<State>,
    component: Component,
}

/// What a guest's function gives: a trap, its own error, or a value.
pub(crate) type Answer<T> = wasmtime::Result<std::result::Result<T, types::Error>>;

impl Instance {
    /// Instantiates `plugin` and calls its `init`.
    pub(crate) fn start(plugin: &Plugin, setup: &Setup, role: RoleKind, device: &Device) -> Result<Self> {
        let mut instance = Self::bare(plugin, setup, role, device)?;
        let settings = guest::plugin::Settings { config: setup.config.to_string(), seed: plugin.seed(setup) };
        let init = instance.load(|store, component| plugin.indices().plugin.load(store, component))?;
        instance.enter("init", || None, |store| init.call_init(store, &settings))?;
        if let Some(live) = &mut instance.live {
            live.store.data_mut().settle();
        }
        Ok(instance)
    }

    /// Instantiates `plugin` and calls nothing.
    pub(crate) fn bare(plugin: &Plugin, setup: &Setup, role: RoleKind, device: &Device) -> Result<Self> {
        let limits = setup.limits.clone();
        let state = State::new(
            plugin.name().into(),
            limits.clone(),
            device.clone(),
            setup.tokenizer.clone(),
            plugin.seed(setup),
            setup.meter.clone(),
        );
        let mut store = Store::new(plugin.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(usize::try_from(bytes(limits.copy_mib)).unwrap_or(usize::MAX));
        store.set_max_component_handles(limits.handles as usize);
        store.set_epoch_deadline(ticks(Duration::from_millis(limits.deadline_ms)));
        let meter = setup.meter.clone();
        let mut instance = Self { who: plugin.who(), role, limits, meter, live: None, stopped: None };
        match plugin.instantiate(&mut store) {
            Ok(component) => {
                instance.live = Some(Live { store, component });
                Ok(instance)
            }
            Err(error) => Err(instance.trapped("start-up", None, &error, store.data_mut())),
        }
    }

    /// Looks up the functions of one interface.
    pub(crate) fn load<G>(
        &mut self,
        find: impl FnOnce(&mut Store<State>, &Component) -> wasmtime::Result<G>,
    ) -> Result<G> {
        let live = self.live.as_mut().ok_or_else(|| stopped(&self.who, self.role, "start-up", &self.stopped))?;
        find(&mut live.store, &live.component).map_err(|error| {
            Failure::new(&self.who, self.role, "start-up", crate::imports::mismatch(&error))
                .help("build the plugin against the wit/ of this version of retune")
        })
    }

    /// Calls the guest. `body` also takes the results over into the host's types:
    /// afterwards every tensor that is still behind a handle is taken back.
    pub(crate) fn call<T>(
        &mut self,
        call: &str,
        place: impl FnOnce() -> Option<String>,
        body: impl FnOnce(&mut Store<State>) -> Answer<T>,
    ) -> Result<T> {
        let result = self.enter(call, place, body);
        if let Some(live) = &mut self.live {
            live.store.data_mut().reclaim();
        }
        result
    }

    /// Calls the guest and takes nothing back.
    fn enter<T>(
        &mut self,
        call: &str,
        place: impl FnOnce() -> Option<String>,
        body: impl FnOnce(&mut Store<State>) -> Answer<T>,
    ) -> Result<T> {
        let Some(live) = &mut self.live else {
            return Err(at(stopped(&self.who, self.role, call, &self.stopped), place()));
        };
        let left = Duration::from_secs(self.limits.total_s).saturating_sub(self.meter.time());
        if left.is_zero() {
            return Err(at(self.used_up(call), place()));
        }
        let allowed = Duration::from_millis(self.limits.deadline_ms).min(left);
        live.store.set_epoch_deadline(ticks(allowed));
        let began = Instant::now();
        let before = live.store.data().usage;
        live.store.data_mut().begin(began, allowed);
        // A panic of the host's ends the call, not the process; the instance goes with it.
        let answer = guarded("part of the call", || body(&mut live.store)).map_err(wasmtime::Error::from).flatten();
        let state = live.store.data();
        let (memory, usage) = (state.limiter.memory(), state.usage);
        let (operations, read) = (usage.operations - before.operations, usage.readback_bytes - before.readback_bytes);
        self.meter.called(began.elapsed(), memory, usage.most_held, operations, read);
        match answer {
            Ok(answer) => answer.map_err(|error| self.refused(call, place(), error)),
            Err(error) => match self.live.take() {
                Some(mut live) => Err(self.trapped(call, place(), &error, live.store.data_mut())),
                None => Err(self.misbehaved(call, error.to_string())),
            },
        }
    }

    /// Counts what the guest said towards what it may say in a run. Every call may say a few words for nothing: as many as the
    /// host itself writes about it.
    pub(crate) fn say(&self, call: &str, length: usize) -> Result<()> {
        let counted = length.saturating_sub(FREE_WORDS);
        if counted == 0 || self.meter.say(counted as u64, bytes(self.limits.words_mib)) {
            return Ok(());
        }
        let reason = format!("said more than {} MiB in this run", self.limits.words_mib);
        Err(Failure::new(&self.who, self.role, call, reason)
            .help("log lines, reasons of changes and names of values count; raise `limits.words_mib`, or let the plugin say less"))
    }

    /// All the time of the run is used up.
    fn used_up(&self, call: &str) -> Failure {
        let reason = format!("ran longer than {} s in all calls of this run together", self.limits.total_s);
        Failure::new(&self.who, self.role, call, reason)
            .help("raise `limits.total_s`, or let the plugin do less in each call")
    }

    /// A result that breaks the contract. The instance lives on.
    pub(crate) fn misbehaved(&self, call: &str, reason: impl Into<String>) -> Failure {
        Failure::new(&self.who, self.role, call, reason).help("this is a fault of the plugin: tell its author")
    }

    /// Who this is, for messages.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// The role it plays.
    pub(crate) fn role(&self) -> RoleKind {
        self.role
    }

    fn refused(&self, call: &str, place: Option<String>, error: types::Error) -> Failure {
        let refusal = given::refusal(error);
        let failure = Failure::new(&self.who, self.role, call, refusal.to_string());
        let help = match refusal.kind {
            ErrorKind::Config => Some("change the plugin's `config` in the recipe"),
            ErrorKind::Input => Some("look at the rows or tensors the plugin was given"),
            ErrorKind::Unsupported => Some("the plugin needs something that this run does not have"),
            ErrorKind::Internal => None,
        };
        let failure = help.into_iter().fold(failure, Failure::help);
        at(failure, place)
    }

    fn trapped(&mut self, call: &str, place: Option<String>, error: &wasmtime::Error, state: &mut State) -> Failure {
        let mut told = trap::tell(error, state, &self.limits);
        let interrupted = error.downcast_ref() == Some(&Trap::Interrupt);
        if interrupted && self.meter.time() >= Duration::from_secs(self.limits.total_s) {
            let used_up = self.used_up(call);
            told.reason.clone_from(&used_up.details().reason);
            told.help.clone_from(&used_up.details().help);
        }
        self.stopped = Some(format!("it {} in `{call}`", told.reason));
        let failure = Failure::new(&self.who, self.role, call, told.reason).backtrace(told.frames);
        at(told.help.into_iter().fold(failure, Failure::help), place)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            let usage = live.store.data().usage;
            tracing::debug!(target: "plugin", plugin = %self.who, role = %self.role, ?usage, "done");
        }
    }
}

/// Runs the conversion of what `call` gave. One that refuses it, or panics, is the failure of that call.
pub(crate) fn accepted<T>(
    instance: &Instance,
    call: &str,
    place: impl FnOnce() -> Option<String>,
    conversion: impl FnOnce() -> std::result::Result<T, Refused>,
) -> Result<T> {
    let refused = match Failure::guard(instance.who(), instance.role(), call, conversion) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(refused)) => refused,
        Err(failure) => return Err(place().into_iter().fold(failure, Failure::at)),
    };
    let failure = instance.misbehaved(call, refused.reason);
    let failure = refused.help.into_iter().fold(failure, Failure::help);
    Err(refused.place.or_else(place).into_iter().fold(failure, Failure::at))
}

fn stopped(who: &str, role: RoleKind, call: &str, why: &Option<String>) -> Failure {
    let why = why.as_deref().unwrap_or("it never started");
    Failure::new(who, role, call, format!("stopped after an earlier trap: {why}"))
}

fn at(failure: Failure, place: Option<String>) -> Failure {
    match place {
        Some(place) => failure.at(place),
        None => failure,
    }
}

/// A time in ticks; one more, because the current tick has begun already.
fn ticks(allowed: Duration) -> u64 {
    let ticks = allowed.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1).min(u64::MAX / 2)
}
