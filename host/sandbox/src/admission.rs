//! Operations on tensors, admitted before they run.
//!
//! An operation runs when what it declares ([`Operation`]) fits into what is left of the quota and of the call's time.
//! So does the backward pass of all that was recorded in the call, which nothing can end once it runs: it has as long
//! as the call.

use std::time::{Duration, Instant};

use retune_tensor::{AnyTensor, TensorError};
use wasmtime::component::Resource;

use crate::handles::Slot;
use crate::limits::bytes;
use crate::operation::{Needs, Operation};
use crate::recorded::Recorded;
use crate::state::State;
use crate::violation::Violation;

/// An operation that takes less than this is not worth a look at the clock: the guest's own code ends at its deadline.
const NOTICED: Duration = Duration::from_micros(20);

impl State {
    /// A handle for what an operation makes of `inputs`.
    pub(crate) fn make(
        &mut self,
        inputs: &[&Resource<Slot>],
        declared: Operation,
        operation: impl FnOnce(&[AnyTensor]) -> Result<AnyTensor, TensorError>,
    ) -> wasmtime::Result<Resource<Slot>> {
        let Made { result, within, turned, needs, read } = self.compute(inputs, &declared, operation)?;
        let kept = result.is_tracked();
        if kept {
            self.keep(inputs)?;
            self.record(declared, &needs, &read)?;
        }
        self.put(result, within, kept, turned)
    }

    /// As [`State::make`], of an operation that also says where the values came from.
    pub(crate) fn make_pair(
        &mut self,
        input: &Resource<Slot>,
        declared: Operation,
        operation: impl FnOnce(&AnyTensor) -> Result<(AnyTensor, AnyTensor), TensorError>,
    ) -> wasmtime::Result<(Resource<Slot>, Resource<Slot>)> {
        let made = self.compute(&[input], &declared, |inputs| operation(&inputs[0]))?;
        let (values, places) = made.result;
        let kept = values.is_tracked();
        if kept {
            self.keep(&[input])?;
            self.record(declared, &made.needs, &made.read)?;
        }
        Ok((self.put(values, 0, kept, false)?, self.put(places, 0, kept, false)?))
    }

    fn compute<V>(
        &mut self,
        inputs: &[&Resource<Slot>],
        declared: &Operation,
        operation: impl FnOnce(&[AnyTensor]) -> Result<V, TensorError>,
    ) -> wasmtime::Result<Made<V>> {
        let read = |input| if declared.keeps().is_lazy() { self.get(input) } else { self.whole(input) };
        let tensors = inputs.iter().copied().map(read).collect::<wasmtime::Result<Vec<_>>>()?;
        let (mut within, mut turned) = (0, 0);
        for (input, tensor) in inputs.iter().zip(&tensors) {
            let slot = self.table.get(input)?;
            if declared.keeps().is_view() {
                within = slot.bytes.max(within);
            }
            if slot.turned {
                turned = tensor.byte_len().saturating_add(turned);
            }
        }
        let needs = declared.needs(&tensors, turned);
        self.admit(declared, &needs, &tensors)?;
        if tensors.iter().any(AnyTensor::is_tracked) {
            self.charge(needs.kept)?;
        }
        let least = self.speed.forward(&needs);
        let result = self.run(|| operation(&tensors))?;
        self.worked = self.worked.saturating_add(least);
        if least >= NOTICED {
            self.check_deadline()?;
        }
        let turned = declared.turns() || (declared.is_view() && turned > 0);
        Ok(Made { result, within, turned, needs, read: tensors })
    }

    /// Refuses an operation that does not fit into what is left of the quota, or that cannot end in time.
    fn admit(&self, declared: &Operation, needs: &Needs, inputs: &[AnyTensor]) -> Result<(), Violation> {
        const MIB: u64 = 1 << 20;
        let room = bytes(self.limits.tensor_mib).saturating_sub(self.held);
        let beside = needs.kept.saturating_add(needs.beside);
        if needs.result.saturating_add(beside) > room {
            let total = needs.result.saturating_add(beside).div_ceil(MIB);
            return Err(Violation {
                reason: format!(
                    "`{}` of {}: takes {total} MiB while it works, and {} of {} MiB of tensors are left",
                    declared.name(),
                    described(inputs),
                    room / MIB,
                    self.limits.tensor_mib
                ),
                help: Some(self.tensor_help()),
            });
        }
        let least = self.speed.forward(needs);
        if least < NOTICED {
            return Ok(());
        }
        let limit = Duration::from_millis(self.limits.deadline_ms);
        let left = self.deadline.map_or(limit, |deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.min(limit.saturating_sub(self.worked));
        if least <= left {
            return Ok(());
        }
        Err(Violation {
            reason: format!(
                "`{}` of {}: takes {} or more, and the call ends in {}",
                declared.name(),
                described(inputs),
                shown(least),
                shown(left)
            ),
            help: Some(format!(
                "let the plugin do less in one call, or raise `limits.deadline_ms` (now {})",
                self.limits.deadline_ms
            )),
        })
    }

    /// Counts what the backward pass of a recorded operation takes at least, and refuses what could not end in the time
    /// of a call: nothing ends it once it runs.
    fn record(&mut self, declared: Operation, needs: &Needs, read: &[AnyTensor]) -> Result<(), Violation> {
        let least = self.speed.backward(needs);
        self.backward = self.backward.saturating_add(least);
        let same = self.recorded.iter().position(|one| one.operation.is(&declared));
        let index = same.unwrap_or_else(|| {
            let most = (Duration::ZERO, Vec::new());
            self.recorded.push(Recorded { operation: declared, count: 0, backward: Duration::ZERO, most });
            self.recorded.len() - 1
        });
        let one = &mut self.recorded[index];
        one.count += 1;
        one.backward = one.backward.saturating_add(least);
        if least > one.most.0 {
            let largest = read.iter().max_by_key(|tensor| tensor.numel());
            one.most = (least, largest.map(AnyTensor::shape).unwrap_or_default());
        }
        if self.backward <= Duration::from_millis(self.limits.deadline_ms) {
            return Ok(());
        }
        Err(self.too_much_backward())
    }

    fn too_much_backward(&self) -> Violation {
        let most = self.recorded.iter().max_by_key(|one| one.backward);
        let most = most.map_or_else(String::new, |Recorded { operation, count, backward, most }| {
            format!(
                "; {} of it in {count} of `{}`, of a tensor of shape {:?}",
                shown(*backward),
                operation.name(),
                most.1
            )
        });
        let deadline = self.limits.deadline_ms;
        Violation {
            reason: format!(
                "recorded operations whose backward pass takes {} or more, where the deadline is {deadline} ms{most}",
                shown(self.backward)
            ),
            help: Some(format!(
                "each piece that is taken of a tensor costs a gradient as large as that tensor: take what is needed by one \
                 operation, or raise `limits.deadline_ms` (now {deadline})"
            )),
        }
    }
}

/// What an operation gave.
struct Made<V> {
    result: V,
    /// Bytes of memory that the result may lie in beside its own.
    within: u64,
    /// Whether it may lie in another order than its shape says.
    turned: bool,
    needs: Needs,
    /// The inputs.
    read: Vec<AnyTensor>,
}

/// `[3, 4] (float32) and [3] (int64)`.
fn described(inputs: &[AnyTensor]) -> String {
    let each: Vec<String> = inputs.iter().map(|t| format!("{:?} ({})", t.shape(), t.dtype())).collect();
    match &each[..] {
        [] => "no tensor".to_owned(),
        [init @ .., last] if !init.is_empty() => format!("{} and {last}", init.join(", ")),
        all => all.join(""),
    }
}

/// `12 s`, `340 ms`.
fn shown(time: Duration) -> String {
    if time >= Duration::from_secs(10) { format!("{} s", time.as_secs()) } else { format!("{} ms", time.as_millis()) }
}

#[cfg(test)]
mod tests {
    use retune_tensor::Device;

    use super::*;
    use crate::limits::Limits;
    use crate::meter::Meter;
    use crate::operation;

    /// What is said of an operation on lent tensors, if it is refused.
    fn refused(
        limits: Limits,
        lent: &[AnyTensor],
        declared: Operation,
        run: impl FnOnce(&[AnyTensor]) -> Result<AnyTensor, TensorError>,
    ) -> Option<Violation> {
        let allowed = Duration::from_millis(limits.deadline_ms);
        let mut state = State::new("p".into(), limits, Device::flex(), None, 7, Meter::default());
        state.begin(Instant::now(), allowed);
        let lent: Vec<_> = lent.iter().map(|tensor| state.lend(tensor.clone()).unwrap()).collect();
        let made = state.make(&lent.iter().collect::<Vec<_>>(), declared, run);
        made.err().map(|error| error.downcast::<Violation>().unwrap())
    }

    fn zeros(shape: &[usize]) -> AnyTensor {
        retune_tensor::full(shape, 0.0, retune_tensor::Dtype::Float32, &Device::flex()).unwrap()
    }

    #[test]
    fn an_operation_that_needs_more_than_is_left_while_it_works_is_refused_before_it_runs() {
        let limits = Limits { tensor_mib: 4, ..Limits::default() };
        let declared = operation::variance().making(1);
        let run = |t: &[AnyTensor]| t[0].variance(&[], false);
        let Violation { reason, help } = refused(limits.clone(), &[zeros(&[1_000_000])], declared, run).unwrap();
        let said = "`variance` of [1000000] (float32): takes 8 MiB while it works, and 4 of 4 MiB of tensors are left";
        assert_eq!(reason, said);
        let advice = "drop tensors that are no longer needed, or raise `limits.tensor_mib` (now 4)";
        assert_eq!(help.as_deref(), Some(advice));
        let limits = Limits { tensor_mib: 16, ..limits };
        assert!(refused(limits, &[zeros(&[1_000_000])], declared, run).is_none());
    }

    #[test]
    fn an_operation_that_could_not_end_in_time_is_refused_before_it_runs() {
        // Views: nothing of this size is there.
        let [a, b] = [[1_000, 10_000_000], [10_000_000, 1_000]].map(|shape| zeros(&[1, 1]).expand(&shape).unwrap());
        let limits = Limits { deadline_ms: 1, tensor_mib: 1 << 20, ..Limits::default() };
        let declared = operation::matmul().multiplying(&a, &b);
        let Violation { reason, help } = refused(limits, &[a, b], declared, |_| unreachable!()).unwrap();
        let said = "`matmul` of [1000, 10000000] (float32) and [10000000, 1000] (float32): takes ";
        assert!(reason.starts_with(said) && reason.contains(" or more, and the call ends in "), "{reason}");
        let advice = "let the plugin do less in one call, or raise `limits.deadline_ms` (now 1)";
        assert_eq!(help.as_deref(), Some(advice));
    }
}
