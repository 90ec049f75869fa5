//! The parameters of a model: names, values, and whether they learn.
//!
//! Order is the order in which the architecture defines them, from the input to
//! the head; an index into it means the same parameter for the whole run. Values
//! are float32 on the model's device and never tracked: a training step reads them
//! through [`Weights`](super::Weights) and writes the new ones with [`Parameters::set_value`].

use std::collections::HashMap;

use retune_tensor::device::is_host;
use retune_tensor::{AnyTensor, Device};

use super::{ModelError, fingerprint};
use crate::optimizer::gradients::{from_floats, into_floats};

/// The number format a parameter had in the checkpoint it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredDtype {
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary16.
    Float16,
    /// The upper half of a binary32.
    Bfloat16,
}

/// Where a parameter's first value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The checkpoint of the base model.
    Base,
    /// The seed: a head that the checkpoint lacks or has for other labels, or any parameter of a model without one.
    New,
    /// The seed, or an adapter that was read: A, B and magnitudes.
    Adapter,
}

/// One named tensor of a model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name in the Hugging Face task model: `bert.encoder.layer.0.output.dense.weight`.
    pub name: String,
    /// Index of its layer in `Model::layers`.
    pub layer: usize,
    /// Float32, untracked; matrices are `[out, in]` as in the checkpoint. One that never changes may be bfloat16, see
    /// [`Parameters::narrow_fixed`].
    pub value: AnyTensor,
    /// Whether it learns now.
    pub trainable: bool,
    /// Whether it may learn at all; see [`Parameters::fix`].
    pub may_learn: bool,
    /// Whether weight decay applies: to matrices, not to biases and norms.
    pub decay: bool,
    /// Multiplies the learning rate, whatever policies say: B of an adapter with `loraplus_lr_ratio`.
    pub lr_scale: f64,
    /// Where its first value came from; `InitScheme::Pretrained` goes back there.
    pub origin: Origin,
    pub(super) stored: StoredDtype,
    pub(super) shape: Vec<usize>,
}

impl Parameter {
    /// The shape; never changes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of scalars.
    pub fn numel(&self) -> u64 {
        self.shape.iter().map(|n| *n as u64).product()
    }

    /// Keeps a matrix that was stored in bfloat16 in that, where it loses no bit.
    pub(super) fn narrow(&mut self) -> Result<(), ModelError> {
        if self.stored == StoredDtype::Bfloat16
            && self.shape.len() == 2
            && let Some(narrow) = self.value.narrowed()?
        {
            self.value = narrow;
        }
        Ok(())
    }

    /// The number format in the checkpoint it was read from; float32 when new.
    pub fn stored_dtype(&self) -> StoredDtype {
        self.stored
    }
}

/// All parameters of a model, in the order of the architecture.
#[derive(Clone, Debug)]
pub struct Parameters {
    list: Vec<Parameter>,
    by_name: HashMap<String, usize>,
}

impl Parameters {
    pub(super) fn new(list: Vec<Parameter>) -> Self {
        let by_name = list.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        Self { list, by_name }
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter> {
        self.list.iter()
    }

    /// How many tensors.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True of a model without parameters.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.index_of(name).map(|i| &self.list[i])
    }

    /// The place of the parameter called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The parameter at `index`, when there is one.
    pub fn at(&self, index: usize) -> Option<&Parameter> {
        self.list.get(index)
    }

    /// Replaces a value; any autodiff history of `value` is dropped.
    ///
    /// # Errors
    /// When there is no such parameter, or shape or kind differ.
    pub fn set_value(&mut self, index: usize, value: AnyTensor) -> Result<(), ModelError> {
        let count = self.list.len();
        let parameter = self
            .list
            .get_mut(index)
            .ok_or_else(|| ModelError::request(format!("there is no parameter {index}; the model has {count}")))?;
        if value.shape() != parameter.shape || value.dtype() != retune_tensor::Dtype::Float32 {
            return Err(ModelError::request(format!(
                "parameter `{}` is float32 of shape {:?}; a {:?} tensor of shape {:?} cannot replace it",
                parameter.name,
                parameter.shape,
                value.dtype(),
                value.shape()
            )));
        }
        parameter.value = value.untracked();
        Ok(())
    }

    /// Replaces a value by what `change` makes of it. While `change` runs it holds
    /// the only handle that the parameters had, so on the CPU it may work in place.
    ///
    /// # Errors
    /// Those of `change` and of [`Parameters::set_value`]; the value is lost then.
    pub fn update_value<T, E: From<ModelError>>(
        &mut self,
        index: usize,
        change: impl FnOnce(AnyTensor) -> Result<(AnyTensor, T), E>,
    ) -> Result<T, E> {
        let (value, result) = change(self.take_value(index)?)?;
        self.set_value(index, value)?;
        Ok(result)
    }

    /// Takes a value out, the only handle that the parameters had; [`Parameters::set_value`] has to
    /// follow. Until then there is nothing in its place.
    ///
    /// # Errors
    /// When there is no such parameter.
    pub(crate) fn take_value(&mut self, index: usize) -> Result<AnyTensor, ModelError> {
        let count = self.list.len();
        let parameter = self
            .list
            .get_mut(index)
            .ok_or_else(|| ModelError::request(format!("there is no parameter {index}; the model has {count}")))?;
        // Of the CPU, whatever the device: what has no elements is not worth a message to it.
        let nothing = retune_tensor::from_float32(Vec::new(), &[0], &Device::flex()).map_err(ModelError::from)?;
        Ok(std::mem::replace(&mut parameter.value, nothing))
    }

    /// Lets a parameter learn, or freezes it. Out of range does nothing, nor does letting one learn that was fixed.
    pub fn set_trainable(&mut self, index: usize, trainable: bool) {
        if let Some(parameter) = self.list.get_mut(index) {
            parameter.trainable = trainable && parameter.may_learn;
        }
    }

    /// Freezes a parameter for good: what a recipe freezes, no policy lets learn. Out of range does nothing.
    pub fn fix(&mut self, index: usize) {
        if let Some(parameter) = self.list.get_mut(index) {
            (parameter.trainable, parameter.may_learn) = (false, false);
        }
    }

    /// Keeps matrices that may never learn in bfloat16 where that loses no bit, as with a base that was stored so: half the
    /// memory, and the same results.
    ///
    /// # Errors
    /// When the device fails.
    pub fn narrow_fixed(&mut self) -> Result<(), ModelError> {
        let fixed = self.list.iter_mut().filter(|parameter| !parameter.may_learn);
        fixed.into_iter().try_for_each(Parameter::narrow)
    }

    /// Multiplies the learning rate of a parameter. Out of range does nothing.
    pub(super) fn set_lr_scale(&mut self, index: usize, scale: f64) {
        if let Some(parameter) = self.list.get_mut(index) {
            parameter.lr_scale = scale;
        }
    }

    /// SHA-256 over the value as little-endian float32, in row-major order: equal
    /// digests, equal bytes. Copies the value to the host, a piece at a time.
    ///
    /// # Errors
    /// When there is no such parameter or it cannot be read back.
    pub fn fingerprint(&self, index: usize) -> Result<[u8; 32], ModelError> {
        let parameter = self.list.get(index).ok_or_else(|| {
            ModelError::request(format!("there is no parameter {index}; the model has {}", self.list.len()))
        })?;
        Ok(fingerprint::of_tensor(&parameter.value)?)
    }

    /// [`Parameters::fingerprint`], on the CPU without a copy. No other handle of the value may be
    /// in use, such as a view for a forward pass; else it is copied.
    ///
    /// # Errors
    /// Those of [`Parameters::fingerprint`]; the value is lost when it cannot be read.
    pub fn fingerprint_in_place(&mut self, index: usize) -> Result<[u8; 32], ModelError> {
        if self.list.get(index).is_none_or(|parameter| {
            !is_host(&parameter.value.device()) || parameter.value.dtype() != retune_tensor::Dtype::Float32
        }) {
            return self.fingerprint(index);
        }
        self.update_value(index, |value| {
            let (shape, device) = (value.shape(), value.device());
            let values = into_floats(value)?;
            let digest = fingerprint::of(&values);
            Ok((from_floats(values, &shape, &device)?, digest))
        })
    }
}

impl<'a> IntoIterator for &'a Parameters {
    type Item = &'a Parameter;
    type IntoIter = std::slice::Iter<'a, Parameter>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
