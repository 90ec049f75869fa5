"""Writes `expected.py`, the mock's answers to `cases.py`, for the build of `agreement.py`."""

from pathlib import Path

from cases import answers

text = f'"""Written by write_expected.py."""\n\nfrom math import inf, nan  # noqa: F401\n\nEXPECTED = {answers()!r}\n'
Path(__file__).with_name("expected.py").write_text(text)
