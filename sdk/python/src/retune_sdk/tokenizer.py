"""Text to tokens and back, with the tokenizer the model is trained with. Lent to preprocessors and metrics of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retune_sdk import backend
from retune_sdk.errors import InputError, PluginError, UnsupportedError


@dataclass(frozen=True)
class Encoding:
    """A text as tokens."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    """Bytes from, to of each token in its text; (0, 0) for added ones."""
    special: list[bool]
    """True for tokens that the tokenizer added."""


class Tokenizer:
    """The tokenizer of this run. Give many texts to one call: the call costs more than a token."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return self._raw.vocab_size()

    @property
    def name(self) -> str:
        return self._raw.name()

    @property
    def bos_token_id(self) -> int | None:
        return self._raw.bos()

    @property
    def eos_token_id(self) -> int | None:
        return self._raw.eos()

    @property
    def pad_token_id(self) -> int | None:
        return self._raw.pad()

    def token_id(self, token: str) -> int | None:
        """The id of a token, or None."""
        return self._raw.token_id(token)

    def token_text(self, id: int) -> str | None:
        """The token with this id, or None."""
        return self._raw.token_text(id)

    def encode(self, texts: Sequence[str], add_special: bool = False) -> list[Encoding]:
        """Tokens of each text; no more than 4 MiB of them in one call."""
        return [_encoding(found) for found in _asked(self._raw.encode, list(texts), add_special)]

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, without special ones."""
        return _asked(self._raw.count, list(texts))

    def decode(self, ids: Sequence[Sequence[int]], skip_special: bool = True) -> list[str]:
        """The text of each list of ids."""
        return _asked(self._raw.decode, [list(each) for each in ids], skip_special)

    def apply_chat_template(
        self, messages: Sequence[dict[str, str]], add_generation_prompt: bool = False
    ) -> tuple[Encoding, list[bool]]:
        """The conversation in the run's template, and for each token whether an assistant said it."""
        record = backend.tokenizer.Message
        turns = [record(message["role"], message["content"]) for message in messages]
        found, said = _asked(self._raw.apply_chat_template, turns, add_generation_prompt)
        return _encoding(found), said


def current_tokenizer() -> Tokenizer:
    """The tokenizer of this run. Raises `UnsupportedError` when the plugin runs without a model."""
    module = backend.lent(backend.tokenizer, "tokenizers", "a preprocessor or a metric of texts")
    return Tokenizer(_asked(module.current))


def _encoding(raw: Any) -> Encoding:
    return Encoding(list(raw.ids), list(raw.offsets), list(raw.special))


def _asked(function: Any, *arguments: Any) -> Any:
    """The answer of the host, whose errors are raised as the classes of `retune_sdk.errors`."""
    try:
        return function(*arguments)
    except Exception as failure:
        error = getattr(failure, "value", None)
        if not hasattr(error, "kind"):
            raise
        kinds = {"INPUT": InputError, "UNSUPPORTED": UnsupportedError}
        raise kinds.get(error.kind.name, PluginError)(error.message) from None
