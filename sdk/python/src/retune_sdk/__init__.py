"""Write a retune plugin as one Python class.

Subclass `Preprocessor`, `Loss`, `Policy`, `TensorMetric` or `TextMetric`, describe its settings by a dataclass, and call
`export(YourClass)` at the end of the module. `python -m retune_sdk build app.py` makes a component of it; under pytest the
same class runs on tensors that are NumPy arrays.

>>> from dataclasses import dataclass
>>> from retune_sdk import IGNORE_INDEX, Loss, LossOutput, fused
>>> class CrossEntropy(Loss):
...     def compute(self, batch, at):
...         logits, labels = batch["logits"], batch["labels"]
...         count = (labels != IGNORE_INDEX).float().sum()
...         return LossOutput(-fused.token_log_probs(logits, labels).sum(), count)
"""

from retune_sdk import fused
from retune_sdk.batch import Batch, InputSpec
from retune_sdk.config import Bounds, FromRecipe
from retune_sdk.errors import ConfigError, InputError, PluginError, UnsupportedError
from retune_sdk.export import export
from retune_sdk.logging import log
from retune_sdk.loss import Loss, LossOutput, Progress
from retune_sdk.making import arange, cat, eye, full, normal, stack, tensor, uniform
from retune_sdk.metric import Metric, TensorMetric, TextExample, TextMetric, ValueSpec
from retune_sdk.policy import (
    Change,
    Event,
    Layer,
    LayerStats,
    Policy,
    PolicyContract,
    freeze,
    lr_scale,
    reinit,
    unfreeze,
    weight_decay,
)
from retune_sdk.preprocessor import Ids, Json, Numbers, Preprocessor, RowContract, Sample
from retune_sdk.tensor import Dtype, Tensor
from retune_sdk.tokenizer import Encoding, Tokenizer, current_tokenizer

IGNORE_INDEX = fused.IGNORE_INDEX
"""The label of a position that has none, as in PyTorch: -100."""

__all__ = [
    "IGNORE_INDEX",
    "Batch",
    "Bounds",
    "Change",
    "ConfigError",
    "Dtype",
    "Encoding",
    "Event",
    "FromRecipe",
    "Ids",
    "InputError",
    "InputSpec",
    "Json",
    "Layer",
    "LayerStats",
    "Loss",
    "LossOutput",
    "Metric",
    "Numbers",
    "PluginError",
    "Policy",
    "PolicyContract",
    "Preprocessor",
    "Progress",
    "RowContract",
    "Sample",
    "Tensor",
    "TensorMetric",
    "TextExample",
    "TextMetric",
    "Tokenizer",
    "UnsupportedError",
    "ValueSpec",
    "arange",
    "cat",
    "current_tokenizer",
    "export",
    "eye",
    "freeze",
    "full",
    "fused",
    "log",
    "lr_scale",
    "normal",
    "reinit",
    "stack",
    "tensor",
    "unfreeze",
    "uniform",
    "weight_decay",
]  # fmt: skip
