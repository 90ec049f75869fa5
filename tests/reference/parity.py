"""Draws random variants of every family and compares retune with transformers: logits, gradients, losses of 20 steps of AdamW,
and the logits of the trained model after transformers has read what retune exported.

    cargo xtask parity [--python PYTHON] [--count COUNT] [--adapters COUNT] [--seed SEED] [--family NAME]

What the fixtures hold fixed is drawn in `parity_variants.py`. A row is run by itself, because some scalings take the longest
row of a batch. A variant of a seed can be drawn again alone by its number: `--only NUMBER`, and `--keep FOLDER` leaves those that
differ there.

With `--adapters`, adapters of peft on such models are drawn as well, in `parity_adapters.py`: logits of peft's adapter here, of the
merged model, and of retune's export in peft. What retune refuses has to be one of the settings that are meant to be.
"""

import argparse
import collections
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import check_export
import torch
import transformers
from family_fixtures import record
from parity_variants import FAMILIES, variant
from safetensors.torch import load_file

# Logits, gradients (relative), losses, logits of the export.
BOUNDS = dict(logits=1e-4, gradients=1e-4, losses=1e-3, export=1e-4)
# Logits, logits of the merged model, logits of the export in peft.
ADAPTER_BOUNDS = dict(logits=1e-4, merged=1e-4, export=1e-4)


def exported(folder, model):
    """The largest distance of a logit of a row by itself between the reference and retune, of what retune exported."""
    expected = load_file(folder / "expected.safetensors")
    logits, worst = load_file(folder / "exported.safetensors")["logits"], 0.0
    for row, length in enumerate(expected["lengths"].tolist()):
        with torch.no_grad():
            given = {key: expected[key][row : row + 1, :length] for key in ("input_ids", "token_type_ids") if key in expected}
            found = model(**given).logits[0]
        wanted = logits[row][:length] if found.dim() == 2 else logits[row]
        worst = max(worst, (found - wanted).abs().max().item())
    return worst


def found_by_retune(binary, folders):
    """What the example finds of each folder; where it ends, that is what it finds, and it goes on with the next."""
    rest = [str(folder) for folder in folders]
    while rest:
        run = subprocess.run([binary, *rest], capture_output=True, text=True)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        yield from ((pathlib.Path(line["folder"]), line["found"]) for line in lines)
        rest = rest[len(lines) :]
        if rest:
            yield pathlib.Path(rest.pop(0)), dict(error=f"{binary} ended: {run.stderr}")


class Table:
    """The largest differences by kind, and what is beyond its bound."""

    def __init__(self, what, bounds, given):
        self.what, self.bounds, self.given, self.wrong = what, bounds, given, []
        self.worst = collections.defaultdict(lambda: dict.fromkeys(bounds, 0.0) | dict(count=0))

    def add(self, kind, folder, found, load, described):
        if "error" not in found:
            try:
                found["export"] = exported(folder, load(folder / "export"))
            except (SystemExit, Exception) as error:
                found = dict(error=f"the export does not load: {error}")
        # JSON has no infinity.
        off = {what: float("inf") if found.get(what) is None else found[what] for what in self.bounds}
        of = self.worst[kind]
        of["count"] += 1
        for what in self.bounds:
            of[what] = max(of[what], off[what])
        if any(off[what] > bound for what, bound in self.bounds.items()):
            self.wrong.append(f"{described}\n    {found}")
            if self.given.keep:
                shutil.copytree(folder, self.given.keep / f"{self.given.seed}-{folder.name}", dirs_exist_ok=True)

    def print(self):
        print(f"{self.what:12} {'variants':>8} " + " ".join(f"{what:>10}" for what in self.bounds))
        for kind, of in sorted(self.worst.items()):
            print(f"{kind:12} {of['count']:8} " + " ".join(f"{of[what]:10.1e}" for what in self.bounds))
        print(f"{'at most':21} " + " ".join(f"{bound:10.0e}" for bound in self.bounds.values()))
        print("\n".join(self.wrong))


def models(given, place):
    table, drawn = Table("family", BOUNDS, given), {}
    for number in [given.only] if given.only is not None else range(given.count):
        one, folder = variant(number, given.seed, given.family or list(FAMILIES)), place / f"model-{number}"
        folder.mkdir()
        record(
            folder, one.name, one.settings, number, dtype=one.dtype, shards=one.shards, change=one.change, rows=one.rows,
            segments=one.segments)
        drawn[folder] = one
    for folder, found in found_by_retune(given.binary, drawn):
        table.add(drawn[folder].family, folder, found, lambda export: check_export.load(str(export)), drawn[folder])
    return table


def adapters(given, place):
    import check_peft
    from parity_adapters import MAY_REFUSE, adapter

    table, drawn, impossible = Table("adapter", ADAPTER_BOUNDS, given), {}, 0
    for number in [given.only] if given.only is not None else range(given.adapters):
        folder = place / f"adapter-{number}"
        folder.mkdir()
        try:
            drawn[folder] = adapter(folder, number, given.seed)
        except (TypeError, ValueError, KeyError, RuntimeError):
            # What peft does not take either.
            impossible += 1
    for folder, found in found_by_retune(given.binary, drawn):
        described, refused = drawn[folder]
        said = found.get("error", "")
        if (refused and refused in said) or any(reason in said for reason in MAY_REFUSE):
            table.worst["refused"]["count"] += 1
            continue
        # What has to be refused and is not differs, whatever the numbers.
        found = dict(error=f"`{refused}` is not refused: {found}") if refused else found
        kind = "dora" if "'use_dora': True" in described else "lora"
        table.add(kind, folder, found, lambda export: check_peft.load(export)[0], described)
    print(f"of {given.adapters} adapters peft does not take {impossible}")
    return table


def arguments():
    parser = argparse.ArgumentParser(description="compares retune with transformers")
    parser.add_argument("binary", help="the example `parity` of retune-train")
    parser.add_argument("--count", type=int, default=60, help="variants in all (default 60, four of each family)")
    parser.add_argument("--adapters", type=int, default=0, help="adapters in all (default none); needs peft")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="this one only; can be given several times")
    parser.add_argument("--only", type=int, help="the variant of this number")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the models that differ")
    return parser.parse_args()


def main():
    given = arguments()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        tables = [models(given, place)] if given.count else []
        tables += [adapters(given, place)] if given.adapters else []
    for table in tables:
        table.print()
    wrong = sum(len(table.wrong) for table in tables)
    count = sum(of["count"] for table in tables for of in table.worst.values())
    print(f"{count - wrong} of {count} agree (transformers {transformers.__version__}, torch {torch.__version__})")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
