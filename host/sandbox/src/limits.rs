//! What a plugin may use, and the part of it that wasmtime asks about.
//!
//! Every limit holds from before instantiation, so start-up code is bound by it
//! too. Most belong to one instance: a preprocessor on four worker threads may use its
//! memory four times. `total_s` and `words_mib` belong to a use: all its instances share them
//! ([`crate::meter`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::ResourceLimiter;

/// What one instance of a plugin may use. Settable in the recipe as `limits`; checked by [`Limits::schema`].
///
/// The defaults let an interpreter (Python, JavaScript) start and leave a laptop
/// usable when a plugin misbehaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory in MiB, summed over the component's memories. Default 512.
    #[schemars(range(min = 1))]
    pub memory_mib: u64,
    /// Table elements, summed over the component's tables. Default 200,000.
    pub table_elements: usize,
    /// Core instances, and as many tables; interpreters are made of dozens. Default 256.
    #[schemars(range(min = 1))]
    pub instances: usize,
    /// Time one call may take, in milliseconds, start-up included. A host
    /// operation that has begun is finished first. Default 10,000.
    #[schemars(range(min = 1))]
    pub deadline_ms: u64,
    /// Data the guest may hand the host in one call, in MiB. Default 64.
    pub copy_mib: u64,
    /// Open handles (tensors, batches) at any time. Default 20,000.
    #[schemars(range(max = 4_294_967_295_u32))]
    pub handles: u32,
    /// Tensors the guest has made and not yet dropped, in MiB; what a backward
    /// pass still needs counts until the call returns, tensors that the guest never
    /// saw among it. Default 4,096.
    pub tensor_mib: u64,
    /// Tensor data the guest may copy out in one call, in MiB. Default 64.
    pub readback_mib: u64,
    /// Time that all calls of a run may take together, in seconds, added up over
    /// the instances of one use. Default 604,800 (a week).
    #[schemars(range(min = 1))]
    pub total_s: u64,
    /// What one use may say in a run, in MiB: log lines, reasons of changes, names of
    /// values. Log lines beyond it are dropped; anything else ends the run. Default 64.
    pub words_mib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 512,
            table_elements: 200_000,
            instances: 256,
            deadline_ms: 10_000,
            copy_mib: 64,
            handles: 20_000,
            tensor_mib: 4_096,
            readback_mib: 64,
            total_s: 604_800,
            words_mib: 64,
        }
    }
}

impl Limits {
    /// What a recipe may write: the names of the limits, and their bounds.
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// MiB as bytes, without overflow.
pub(crate) fn bytes(mib: u64) -> u64 {
    mib.saturating_mul(1 << 20)
}

/// Counts memory and tables over the whole component.
///
/// wasmtime asks once for each memory and table; a limit for each of them would
/// be a limit for none, as a component may have many.
pub(crate) struct Limiter {
    limits: Limits,
    memory: u64,
    elements: u64,
    /// The limit that was last refused, until somebody asks.
    refused: Option<Refused>,
}

/// Which limit stopped the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Memory,
    Table,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, elements: 0, refused: None }
    }

    /// The limit that was refused since the last call of this function.
    pub(crate) fn take_refused(&mut self) -> Option<Refused> {
        self.refused.take()
    }

    /// Bytes of linear memory now. It never shrinks.
    pub(crate) fn memory(&self) -> u64 {
        self.memory
    }

    fn grow(held: u64, current: usize, desired: usize) -> u64 {
        held.saturating_sub(current as u64).saturating_add(desired as u64)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = Self::grow(self.memory, current, desired);
        if total > bytes(self.limits.memory_mib) {
            self.refused = Some(Refused::Memory);
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = Self::grow(self.elements, current, desired);
        if total > self.limits.table_elements as u64 {
            self.refused = Some(Refused::Table);
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_is_summed_over_all_memories_of_a_component() {
        let mut limiter = Limiter::new(Limits { memory_mib: 3, ..Limits::default() });
        assert!(limiter.memory_growing(0, 2 << 20, None).unwrap());
        assert!(!limiter.memory_growing(0, 2 << 20, None).unwrap());
        assert_eq!(limiter.take_refused(), Some(Refused::Memory));
        assert_eq!(limiter.take_refused(), None);
        assert!(limiter.memory_growing(2 << 20, 3 << 20, None).unwrap());
        assert!(!limiter.memory_growing(0, 1, None).unwrap());
    }

    #[test]
    fn table_elements_are_summed_over_all_tables() {
        let mut limiter = Limiter::new(Limits { table_elements: 10, ..Limits::default() });
        assert!(limiter.table_growing(0, 6, None).unwrap());
        assert!(!limiter.table_growing(0, 5, None).unwrap());
        assert_eq!(limiter.take_refused(), Some(Refused::Table));
    }

    #[test]
    fn a_missing_limit_has_its_default_and_everything_wrong_is_told_at_once() {
        let read = |written: Value| retune_schema::resolve(&Limits::schema(), &written);
        let limits: Limits = serde_json::from_value(read(json!({ "deadline_ms": 50 })).unwrap()).unwrap();
        assert_eq!(limits, Limits { deadline_ms: 50, ..Limits::default() });
        let wrong = json!({ "deadline": 5, "memory_mib": "1 GiB", "copy_mib": -1, "instances": 0, "handles": 4_294_967_296_u64 });
        let told: Vec<String> = read(wrong).unwrap_err().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}
