//! The contract's `batch` and `types` interfaces.

use wasmtime::Result;
use wasmtime::component::Resource;

use crate::bindings::host::{batch, types};
use crate::handles::{Lent, Slot};
use crate::state::State;
use crate::violation::Violation;

impl batch::HostBatch for State {
    fn get(&mut self, batch: Resource<Lent>, name: String) -> Result<Option<Resource<Slot>>> {
        let Some(batch) = &self.table.get(&batch)?.0 else { return Err(Violation::late("used", "batch").into()) };
        let found = batch.get(&name).cloned();
        found.map(|tensor| self.lend(tensor)).transpose()
    }

    fn drop(&mut self, batch: Resource<Lent>) -> Result<()> {
        self.table.delete(batch)?;
        Ok(())
    }
}

impl batch::Host for State {}
impl types::Host for State {}

#[cfg(test)]
mod tests {
    use retune_roles::Batch;
    use retune_tensor::{Device, from_float32};

    use super::batch::HostBatch;
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn a_batch_of_an_earlier_call_may_be_dropped_but_not_used() {
        let device = Device::flex();
        let mut state =
            State::new("p".into(), Limits::default(), device.clone(), None, 7, crate::meter::Meter::default());
        let batch = Batch::default().with("logits", from_float32(vec![1.0], &[1], &device).unwrap());
        let lent = state.lend_batch(&batch).unwrap();
        let again = || Resource::new_borrow(lent.rep());
        assert!(HostBatch::get(&mut state, again(), "logits".into()).unwrap().is_some());
        assert!(HostBatch::get(&mut state, again(), "labels".into()).unwrap().is_none());
        state.reclaim();
        let error = HostBatch::get(&mut state, again(), "logits".into()).unwrap_err();
        let Violation { reason, help } = error.downcast_ref().unwrap();
        assert_eq!(reason, "used a batch that was kept from an earlier call");
        assert_eq!(help.as_deref(), Some("a batch is lent for one call"));
        HostBatch::drop(&mut state, lent).unwrap();
    }
}
