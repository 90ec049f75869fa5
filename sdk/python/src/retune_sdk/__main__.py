"""`python -m retune_sdk build app.py`: a plugin's module becomes a component."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from retune_sdk.build import build


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="python -m retune_sdk", description="Builds retune plugins from Python.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("build", help="make a component of a module that calls export(...)")
    one.add_argument("module", type=Path, help="the file, for example app.py")
    one.add_argument(
        "-o", "--out", type=Path, help="where the component goes; beside the module, with the ending .wasm"
    )
    one.add_argument(
        "-p", "--path", type=Path, action="append", default=[], help="a folder of further pure Python modules"
    )
    asked = parser.parse_args()
    out = asked.out or asked.module.with_suffix(".wasm")
    try:
        found = build(asked.module, out, asked.path)
    except (FileNotFoundError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {', '.join(found)}; {out.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
