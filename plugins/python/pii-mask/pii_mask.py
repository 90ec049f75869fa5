"""A preprocessor: replaces personal data in a text by `[EMAIL]`, `[PHONE]`, `[IBAN]`, `[CARD]` and `[IP]`.

What carries a check digit is replaced only when that is right (ISO 7064 for IBANs, Luhn for cards), so that order numbers
stay. A phone number needs a `+` or a leading 0 and 8 to 15 digits. Names and addresses are not found: no pattern finds them.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from retune_sdk import FromRecipe, Preprocessor, RowContract, Sample, export

Kind = Literal["email", "iban", "card", "ip", "phone"]
KINDS: tuple[Kind, ...] = ("email", "iban", "card", "ip", "phone")


@dataclass
class Config:
    columns: Annotated[list[str], FromRecipe("input-columns"), "The columns of text; those that the model reads."]
    kinds: Annotated[list[Kind], "What is replaced."] = field(default_factory=lambda: list(KINDS))
    drop: Annotated[bool, "Reject a row with personal data, as `personal-data`, in place of masking it."] = False


def iban(text: str) -> bool:
    """Whether the check digits are right (ISO 13616): the number with its head at the end is 1 modulo 97."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


def card(text: str) -> bool:
    """Whether the last digit is right (Luhn)."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [digit if i % 2 == 0 else digit * 2 - 9 * (digit > 4) for i, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def ip(text: str) -> bool:
    """Whether every part fits into a byte."""
    return all(int(part) < 256 for part in text.split("."))


def phone(text: str) -> bool:
    """Whether the number of digits is one of a telephone's (ITU E.164)."""
    return 8 <= sum(each.isdigit() for each in text) <= 15


PATTERNS = {
    "email": (re.compile(r"[A-Za-z0-9][\w.%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}"), lambda _: True),
    "iban": (re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b"), iban),
    "card": (re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?!\d)"), card),
    "ip": (re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"), ip),
    "phone": (re.compile(r"(?<![\w+])(?:\+|0)\d(?:[ ()/.-]{0,2}\d){6,14}(?!\d)"), phone),
}


class PiiMask(Preprocessor):
    Config = Config
    config: Config

    def describe(self) -> RowContract:
        return RowContract(reads=self.config.columns, writes=self.config.columns)

    def mask(self, text: str) -> str:
        """The text with what was found replaced."""
        for kind in self.config.kinds:
            pattern, valid = PATTERNS[kind]
            text = pattern.sub(lambda m, k=kind, v=valid: f"[{k.upper()}]" if v(m.group()) else m.group(), text)
        return text

    def row(self, sample: Sample):
        masked = {name: self.mask(sample.text(name)) for name in self.config.columns}
        if self.config.drop and any(sample.fields[name] != text for name, text in masked.items()):
            return sample.reject("personal-data")
        return sample.fields | masked


export(PiiMask)
