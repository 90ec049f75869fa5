"""A tokenizer of whole words: each word that a test names is a token, any other is the one after the last, `<unk>`."""

from dataclasses import dataclass

words: list[str] = []


@dataclass
class Encoding:
    """A text as tokens."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    special: list[bool]


@dataclass
class Message:
    """A turn of a conversation."""

    role: str
    content: str


class Tokenizer:
    """Splits at white space. It has no special tokens and no chat template."""

    def name(self) -> str:
        return "words"

    def vocab_size(self) -> int:
        return len(words) + 1

    def token_id(self, token: str) -> int | None:
        return words.index(token) if token in words else None

    def token_text(self, id: int) -> str | None:
        return words[id] if id < len(words) else "<unk>" if id == len(words) else None

    def bos(self) -> int | None:
        return None

    eos = pad = bos

    def encode(self, texts: list[str], add_special: bool) -> list[Encoding]:
        found = []
        for text in texts:
            ids, offsets, at = [], [], 0
            for word in text.split():
                start = text.index(word, at)
                at = start + len(word)
                offsets.append((len(text[:start].encode()), len(text[:at].encode())))
                ids.append(words.index(word) if word in words else len(words))
            found.append(Encoding(ids, offsets, [False] * len(ids)))
        return found

    def count(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def decode(self, ids: list[list[int]], skip_special: bool) -> list[str]:
        return [" ".join(self.token_text(id) or "" for id in each) for each in ids]

    def apply_chat_template(self, messages: list[Message], add_generation_prompt: bool) -> tuple[Encoding, list[bool]]:
        from retune_sdk.errors import UnsupportedError

        raise UnsupportedError("the tokenizer of tests has no chat template")


def current() -> Tokenizer:
    """The tokenizer of `testing.use_words`."""
    from retune_sdk.errors import UnsupportedError

    if not words:
        raise UnsupportedError("there is no tokenizer; call testing.use_words([...]) first")
    return Tokenizer()
