"""Checks the JSON Schema of recipes with PyPI's `jsonschema`, a validator that shares no code with retune.

    pip install jsonschema
    retune recipe schema | python tests/reference/check_recipes.py        # or without a pipe: the schema in the checkout

Every ready recipe must pass; each of them with one key misspelt, and each with a section misspelt, must be refused.
"""

import json
import sys
import tomllib
from pathlib import Path

from jsonschema import Draft202012Validator

RECIPES = Path(__file__).resolve().parents[2] / "host/recipes"


def misspelt(table, path=()):
    """Copies of `table` in which one key has lost its second letter; settings of roles are not the recipe's to check."""
    for key, value in table.items():
        short = key[0] + key[2:]
        yield path + (short,), {short if k == key else k: v for k, v in table.items()}
        if key == "config":
            continue
        if isinstance(value, dict):
            for inner, copy in misspelt(value, path + (key,)):
                yield inner, {**table, key: copy}
        elif isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, dict):
                    for inner, copy in misspelt(item, path + (f"{key}[{i}]",)):
                        yield inner, {**table, key: value[:i] + [copy] + value[i + 1 :]}


def main():
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    schema = json.loads(piped or (RECIPES / "recipe.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    wrong = refused = 0
    for path in sorted(RECIPES.rglob("*.toml")):
        recipe = tomllib.loads(path.read_text())
        for error in validator.iter_errors(recipe):
            wrong += 1
            print(f"{path.name}: {error.json_path}: {error.message}")
        for where, copy in misspelt(recipe):
            if validator.is_valid(copy):
                wrong += 1
                print(f"{path.name}: accepted with {'.'.join(where)}")
            refused += 1
        print(f"{path.relative_to(RECIPES)}: passes")
    print(f"{refused} misspelt recipes tried, {wrong} faults")
    sys.exit(wrong > 0)


main()
