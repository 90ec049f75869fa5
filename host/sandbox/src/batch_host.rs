//! The contract's `batch` and `types` interfaces.

use retune_roles::Batch;
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::host::{batch, types};
use crate::state::{Slot, State};

impl batch::HostBatch for State {
    fn get(&mut self, batch: Resource<Batch>, name: String) -> Result<Option<Resource<Slot>>> {
        let found = self.table.get(&batch)?.get(&name).cloned();
        found.map(|tensor| self.lend(tensor)).transpose()
    }

    fn drop(&mut self, batch: Resource<Batch>) -> Result<()> {
        self.table.delete(batch)?;
        Ok(())
    }
}

impl batch::Host for State {}
impl types::Host for State {}
