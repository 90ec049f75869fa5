//! Keys and values that were computed for earlier tokens, in one block of a model.
//!
//! On the CPU rows lie in memory that grows by halves, so that a token copies its own row alone. Elsewhere they lie in a tensor with
//! room for more, whose rows are assigned in place where the device can.

use burn::tensor::Tensor;

/// `[tokens, heads * width]` of keys and of values.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    rows: usize,
    data: Data,
}

#[derive(Clone, Debug, Default)]
pub(super) enum Data {
    #[default]
    Nothing,
    Host([Vec<f32>; 2]),
    /// With rows to spare.
    Device(Box<[Tensor<2>; 2]>),
}

/// Rows that a device has room for at first.
const FIRST: usize = 64;

impl Stored {
    /// Tokens.
    pub(in crate::model) fn len(&self) -> usize {
        self.rows
    }

    /// Keeps the first `count` tokens.
    pub(in crate::model) fn truncate(&mut self, count: usize) {
        if let (Data::Host(both), true) = (&mut self.data, count < self.rows) {
            let width = both[0].len() / self.rows;
            both.iter_mut().for_each(|part| part.truncate(count * width));
        }
        self.rows = self.rows.min(count);
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    /// Adds rows of the CPU, `width` wide.
    pub(super) fn push_host(&mut self, new: [&[f32]; 2], width: usize) {
        if !matches!(self.data, Data::Host(_)) {
            (self.data, self.rows) = (Data::Host([Vec::new(), Vec::new()]), 0);
        }
        if let Data::Host(both) = &mut self.data {
            for (part, new) in both.iter_mut().zip(new) {
                if part.capacity() < part.len() + new.len() {
                    part.reserve_exact((part.len() + new.len()).max(part.len() * 3 / 2) - part.len());
                }
                part.extend_from_slice(new);
            }
            self.rows += new[0].len() / width.max(1);
        }
    }

    /// Adds rows of a device.
    pub(super) fn push_device(&mut self, new: [Tensor<2>; 2]) {
        let [count, width] = new[0].dims();
        let end = self.rows + count;
        let both = match std::mem::take(&mut self.data) {
            Data::Device(both) if both[0].dims()[0] >= end => *both,
            data => {
                let room = end.max(self.rows * 3 / 2).max(FIRST);
                let wider = |part: Option<Tensor<2>>, like: &Tensor<2>| {
                    let rows = Tensor::zeros([room, width], &like.device());
                    match part {
                        Some(part) => rows.slice_assign([0..self.rows, 0..width], part.narrow(0, 0, self.rows)),
                        None => rows,
                    }
                };
                let [keys, values] = match data {
                    Data::Device(both) if self.rows > 0 => both.map(Some),
                    _ => [None, None],
                };
                [wider(keys, &new[0]), wider(values, &new[1])]
            }
        };
        let assign = |part: Tensor<2>, new| part.slice_assign([self.rows..end, 0..width], new);
        let ([keys, values], [new_keys, new_values]) = (both, new);
        self.data = Data::Device(Box::new([assign(keys, new_keys), assign(values, new_values)]));
        self.rows = end;
    }
}
