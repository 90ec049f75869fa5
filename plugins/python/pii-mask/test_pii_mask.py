"""Numbers with check digits are the published examples of their standards."""

import pytest
from pii_mask import PiiMask
from retune_sdk import InputError, Sample
from retune_sdk.testing import make, run_rows, texts


def masked(text: str, **settings) -> str:
    return make(PiiMask, columns=["text"], **settings).mask(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to jo.doe+x@mail.example.org now", "write to [EMAIL] now"),
        ("pay GB82 WEST 1234 5698 7654 32 today", "pay [IBAN] today"),
        ("pay DE89370400440532013000.", "pay [IBAN]."),
        ("card 4111 1111 1111 1111, thanks", "card [CARD], thanks"),
        ("from 192.168.0.1 at night", "from [IP] at night"),
        ("call +44 20 7946 0958 or 030/90182000", "call [PHONE] or [PHONE]"),
    ],
)
def test_personal_data_is_replaced(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize(
    "text",
    ["order 4111 1111 1111 1112", "DE89370400440532013001", "version 1.2.3.400", "in 2024 we sold 12345678", "a@b"],
)
def test_what_only_looks_like_it_stays(text):
    assert masked(text) == text


def test_only_the_kinds_that_are_asked_for():
    assert masked("a@b.org 10.0.0.1", kinds=["ip"]) == "a@b.org [IP]"


def test_a_row_can_be_dropped_and_batches_do_not_matter():
    rows = texts("text", ["me@example.org", "nothing here"])
    fates = run_rows(make(PiiMask, columns=["text"], drop=True), rows)
    assert fates == ["personal-data", [{"text": "nothing here"}]]
    assert fates == run_rows(make(PiiMask, columns=["text"], drop=True), rows, size=1)


def test_a_column_that_is_no_text_is_named():
    with pytest.raises(InputError, match="field `text` of t:1 holds int"):
        make(PiiMask, columns=["text"]).row(Sample("t:1", 0, {"text": 3}))
