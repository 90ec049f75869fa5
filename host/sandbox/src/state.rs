//! What the host keeps for one instance: handles, quotas, counters.
//!
//! Invariants. A tensor's slot outlives the tensor: when a call returns, the host
//! empties the slots that are still open but leaves them in the table, because the
//! table reuses indices and a late drop would otherwise hit another tensor. A late
//! drop is harmless, a late use ends the call. Slots filled during `plugin.init`
//! keep their tensors for the whole run.
//!
//! What the backward pass will read belongs to it, not to a handle: a tracked
//! tensor, what it was computed from, and what the operation keeps in between
//! ([`Keeps`](crate::keeps::Keeps)). Dropping a handle to one of them gives nothing back before the call
//! returns, and the quota says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use retune_roles::caught::caught;
use retune_roles::{Batch, Tokenizer};
use retune_tensor::{AnyTensor, Device, TensorError, with_largest};
use wasmtime::Trap;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::handles::{Lent, Slot};
use crate::limits::{Limiter, Limits, bytes};
use crate::meter::Meter;
use crate::operation::Speed;
use crate::recorded::Recorded;
use crate::violation::Violation;
use crate::wasi::{self, Printed};

/// The least a tensor counts for: what the host and the backward pass keep about
/// it, however small it is. Bounds the length of a graph that a guest can record.
const OVERHEAD: u64 = 1 << 10;

/// Log lines that a plugin may write in one call.
pub(crate) const LOG_LINES: u32 = 200;

/// What an instance has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Calls of the guest into the host's tensors.
    pub operations: u64,
    /// Times the guest waited for the device.
    pub readbacks: u64,
    /// Bytes it copied out.
    pub readback_bytes: u64,
    /// Handles left open when a call returned.
    pub left_open: u64,
    /// The most bytes of tensors held at a time.
    pub most_held: u64,
}

/// The data of a wasmtime store.
pub(crate) struct State {
    pub table: ResourceTable,
    pub wasi: WasiCtx,
    pub printed: Printed,
    pub limiter: Limiter,
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
    /// Name in the log.
    pub plugin: Arc<str>,
    pub device: Device,
    pub usage: Usage,
    pub meter: Meter,
    pub log_lines: u32,
    pub(crate) limits: Limits,
    /// Tensor bytes held now, of which `permanent` since `init`.
    pub(crate) held: u64,
    permanent: u64,
    /// Bytes copied out in this call.
    read: u64,
    /// When this call has to be over.
    pub(crate) deadline: Option<Instant>,
    pub(crate) speed: Speed,
    /// The least time that the operations of this call can take, and the backward pass of those that were recorded.
    pub(crate) worked: Duration,
    pub(crate) backward: Duration,
    pub(crate) recorded: Vec<Recorded>,
}

impl State {
    pub(crate) fn new(
        plugin: Arc<str>,
        limits: Limits,
        device: Device,
        tokenizer: Option<Arc<dyn Tokenizer>>,
        seed: u64,
        meter: Meter,
    ) -> Self {
        let mut table = ResourceTable::new();
        // WASI's own streams share the table.
        table.set_max_capacity(limits.handles as usize + 64);
        let speed = Speed::of(&device);
        Self {
            table,
            wasi: wasi::empty(seed),
            printed: Printed::default(),
            limiter: Limiter::new(limits.clone()),
            tokenizer,
            plugin,
            device,
            usage: Usage::default(),
            meter,
            log_lines: 0,
            limits,
            held: 0,
            permanent: 0,
            read: 0,
            deadline: None,
            speed,
            worked: Duration::ZERO,
            backward: Duration::ZERO,
            recorded: Vec::new(),
        }
    }

    /// The tensor behind a handle.
    pub(crate) fn get(&self, handle: &Resource<Slot>) -> wasmtime::Result<AnyTensor> {
        self.table.get(handle)?.tensor.clone().ok_or_else(|| Violation::late("used", "tensor").into())
    }

    /// The tensor behind a handle, with its elements there. Lazy logits are made and charged for until the call
    /// returns: the batch holds on to them.
    pub(crate) fn whole(&mut self, handle: &Resource<Slot>) -> wasmtime::Result<AnyTensor> {
        let tensor = self.get(handle)?;
        if !tensor.is_lazy() {
            return Ok(tensor);
        }
        let whole = self.run(|| tensor.whole()).map_err(|violation| {
            let help = violation.help.is_some().then(|| {
                let now = self.limits.tensor_mib;
                format!("use the operations of `fused`, which compute logits in chunks, or raise `limits.tensor_mib` (now {now})")
            });
            Violation { help, ..violation }
        })?;
        self.charge(whole.byte_len())?;
        let slot = self.table.get_mut(handle)?;
        slot.tensor = Some(whole.clone());
        slot.bytes = slot.bytes.saturating_add(whole.byte_len());
        slot.kept = true;
        Ok(whole)
    }

    /// Runs a tensor operation under what is left of the quota: a tensor that would
    /// not fit is refused before memory is taken, since a failed allocation would
    /// end the process, not the call.
    pub(crate) fn run<V>(&mut self, operation: impl FnOnce() -> Result<V, TensorError>) -> Result<V, Violation> {
        self.usage.operations += 1;
        let quota = bytes(self.limits.tensor_mib);
        let room = quota.saturating_sub(self.held);
        guarded("tensor operation", || with_largest(room, operation))?.map_err(|error| {
            let help = error.reason().contains("bytes allowed").then(|| self.tensor_help());
            Violation { reason: error.to_string(), help }
        })
    }

    /// The backward pass will read these.
    pub(crate) fn keep(&mut self, inputs: &[&Resource<Slot>]) -> wasmtime::Result<()> {
        for input in inputs {
            self.table.get_mut(input)?.kept = true;
        }
        Ok(())
    }

    /// A handle for a tensor the guest made, charged for `within` where that is more.
    pub(crate) fn put(
        &mut self,
        tensor: AnyTensor,
        within: u64,
        kept: bool,
        turned: bool,
    ) -> wasmtime::Result<Resource<Slot>> {
        let bytes = tensor.byte_len().max(within).max(OVERHEAD);
        self.charge(bytes)?;
        self.push(Slot { tensor: Some(tensor), bytes, permanent: false, kept, turned })
    }

    pub(crate) fn charge(&mut self, more: u64) -> Result<(), Violation> {
        self.held = self.held.saturating_add(more);
        self.usage.most_held = self.usage.most_held.max(self.held);
        if self.held <= bytes(self.limits.tensor_mib) {
            return Ok(());
        }
        Err(Violation {
            reason: format!(
                "made tensors of more than {} MiB, with what the backward pass keeps of them",
                self.limits.tensor_mib
            ),
            help: Some(self.tensor_help()),
        })
    }

    pub(crate) fn tensor_help(&self) -> String {
        format!("drop tensors that are no longer needed, or raise `limits.tensor_mib` (now {})", self.limits.tensor_mib)
    }

    /// A handle for a tensor that is the host's.
    pub(crate) fn lend(&mut self, tensor: AnyTensor) -> wasmtime::Result<Resource<Slot>> {
        self.push(Slot { tensor: Some(tensor), bytes: 0, permanent: false, kept: false, turned: false })
    }

    /// A handle for the batch of one call. Its keys stay with the host.
    pub(crate) fn lend_batch(&mut self, batch: &Batch) -> wasmtime::Result<Resource<Lent>> {
        let tensors = batch.names().filter_map(|name| Some((name, batch.get(name)?.clone())));
        let lent = tensors.fold(Batch::default(), |lent, (name, tensor)| lent.with(name, tensor));
        self.table.push(Lent(Some(lent))).map_err(|_| self.too_many_handles().into())
    }

    fn push(&mut self, slot: Slot) -> wasmtime::Result<Resource<Slot>> {
        self.table.push(slot).map_err(|_| self.too_many_handles().into())
    }

    fn too_many_handles(&self) -> Violation {
        Violation::handles(self.limits.handles)
    }

    /// Takes the tensor out of a handle that the guest gave to the host.
    pub(crate) fn take(&mut self, handle: Resource<Slot>) -> wasmtime::Result<AnyTensor> {
        let slot = self.table.delete(handle)?;
        self.release(&slot);
        slot.tensor.ok_or_else(|| Violation::late("returned", "tensor").into())
    }

    /// The guest drops a handle.
    pub(crate) fn discard(&mut self, handle: Resource<Slot>) -> wasmtime::Result<()> {
        let slot = self.table.delete(handle)?;
        self.release(&slot);
        Ok(())
    }

    fn release(&mut self, slot: &Slot) {
        if slot.tensor.is_none() {
            return;
        }
        if slot.permanent {
            self.permanent = self.permanent.saturating_sub(slot.bytes);
        }
        if !slot.kept {
            self.held = self.held.saturating_sub(slot.bytes);
        }
    }

    /// Before a call that may take so long. What an earlier one printed or was refused is no evidence about this one.
    pub(crate) fn begin(&mut self, now: Instant, allowed: Duration) {
        self.printed.take();
        self.limiter.take_refused();
        self.deadline = now.checked_add(allowed);
        self.read = 0;
        self.log_lines = 0;
        self.worked = Duration::ZERO;
        self.backward = Duration::ZERO;
        self.recorded.clear();
    }

    /// Ends a call that is past its deadline, between two parts of an operation: the
    /// engine ends it only where the guest's own code runs.
    pub(crate) fn check_deadline(&self) -> wasmtime::Result<()> {
        match self.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            true => Err(Trap::Interrupt.into()),
            false => Ok(()),
        }
    }

    /// After a call, when its results have been taken: empties what is still open.
    pub(crate) fn reclaim(&mut self) {
        for entry in self.table.iter_mut() {
            if let Some(batch) = entry.downcast_mut::<Lent>() {
                batch.0 = None;
            } else if let Some(slot) = entry.downcast_mut::<Slot>() {
                slot.kept = false;
                if !slot.permanent && slot.tensor.take().is_some() {
                    self.usage.left_open += 1;
                }
            }
        }
        self.held = self.permanent;
    }

    /// After `init`: what is open now stays.
    pub(crate) fn settle(&mut self) {
        for entry in self.table.iter_mut() {
            if let Some(slot) = entry.downcast_mut::<Slot>() {
                slot.permanent = slot.tensor.is_some();
            }
        }
        self.permanent = self.held;
    }

    /// Whether the guest may still say so many bytes in this run.
    pub(crate) fn may_say(&self, length: usize) -> bool {
        self.meter.say(length as u64, bytes(self.limits.words_mib))
    }

    /// Counts a copy out of the host, before it is made.
    pub(crate) fn read(&mut self, length: u64) -> Result<(), Violation> {
        self.usage.readbacks += 1;
        self.usage.readback_bytes += length;
        self.read = self.read.saturating_add(length);
        if self.read <= bytes(self.limits.readback_mib) {
            return Ok(());
        }
        Err(Violation::limit(
            format!("copied more than {} MiB of tensor data out of the host in one call", self.limits.readback_mib),
            "readback_mib",
        ))
    }
}

/// Runs a host's operation. A panic in it ends the call; it would otherwise unwind
/// through the guest and leave an instance that can be entered again half-way.
pub(crate) fn guarded<T>(what: &str, operation: impl FnOnce() -> T) -> Result<T, Violation> {
    caught(operation).map_err(|said| Violation::new(format!("the host's {what} failed: {said}")))
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::ResourceLimiter;

    use super::*;
    use crate::operation;

    #[test]
    fn a_call_is_not_explained_by_what_an_earlier_one_did() {
        let limits = Limits { memory_mib: 1, ..Limits::default() };
        let mut state = State::new("p".into(), limits, Device::flex(), None, 7, Meter::default());
        state.printed.write(b"loaded");
        assert!(!state.limiter.memory_growing(0, 2 << 20, None).unwrap());
        state.begin(Instant::now(), Duration::from_secs(1));
        assert_eq!((state.printed.take().as_str(), state.limiter.take_refused()), ("", None));
    }
    #[test]
    fn lazy_logits_are_charged_for_when_they_are_made_and_not_before() {
        use retune_tensor::{Head, from_int64, full, fused, lazy_logits};
        let device = Device::flex();
        let ones = |shape: &[usize]| full(shape, 1.0, retune_tensor::Dtype::Float32, &device).unwrap();
        let head = Head { hidden: ones(&[4, 2]), weight: ones(&[200_000, 2]), bias: None, soft_cap: None };
        let logits = lazy_logits(head, &[2, 2], None).unwrap();
        let labels = from_int64(vec![0, 1, -100, 2], &[2, 2], &device).unwrap();
        let score = |tensors: &[AnyTensor]| fused::token_log_probs(&tensors[0], &tensors[1], -100);
        for (tensor_mib, fits) in [(1, false), (8, true)] {
            let mut state = State::new(
                "p".into(),
                Limits { tensor_mib, ..Limits::default() },
                device.clone(),
                None,
                7,
                Meter::default(),
            );
            let [x, y] = [&logits, &labels].map(|tensor| state.lend(tensor.clone()).unwrap());
            state.make(&[&x, &y], operation::token_log_probs().making(4), score).unwrap();
            assert!(state.held < 2 * OVERHEAD, "{}", state.held);
            let made = state.make(&[&x], operation::neg(), |inputs| inputs[0].neg());
            match made {
                Ok(_) => {
                    assert!(fits && state.held >= 2 * 3_200_000, "{}", state.held);
                    // The batch holds on to them.
                    state.discard(x).unwrap();
                    assert!(state.held >= 2 * 3_200_000, "{}", state.held);
                    state.reclaim();
                    assert_eq!(state.held, 0);
                }
                Err(error) => {
                    let Violation { reason, help } = error.downcast_ref().unwrap();
                    let begin = "`logits`: a tensor of shape [2, 2, 200000] (float32) is larger than the ";
                    assert!(!fits && reason.starts_with(begin) && reason.ends_with(" bytes allowed"), "{reason}");
                    let advice = "use the operations of `fused`, which compute logits in chunks, or raise `limits.tensor_mib` (now 1)";
                    assert_eq!(help.as_deref(), Some(advice));
                }
            }
        }
    }
}
