#!/bin/sh
# From an empty folder to a plugin in Python inside a run: venv, SDK and componentize-py, the plugin's own tests, build, inspect, run.
#
#   tests/languages/python.sh [RETUNE]      RETUNE: the binary; `retune` of the path otherwise
#
# Needs Python 3.11 with venv, and PyPI. Takes one to four minutes, most of it componentize-py and the first compilation of what it makes.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
retune=${1:-retune}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
step() { echo "== $(date +%T) $*"; }

step "a venv with the SDK"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "$here/sdk/python[test,build]"
mkdir "$work/plugin"
cp "$here"/plugins/python/pii-mask/*.py "$work/plugin/"
cd "$work/plugin"

step "its tests"
"$work/venv/bin/python" -m pytest -q -p no:cacheprovider

step "build"
"$work/venv/bin/python" -m retune_sdk build pii_mask.py

step "inspect"
"$retune" plugin inspect pii_mask.wasm

step "run"
mkdir "$work/run"
cp -r "$here/host/recipes/quickstart" "$work/run/quickstart"
cat > "$work/run/recipe.toml" <<'RECIPE'
device = "cpu"

[model]
base = "quickstart/base"
task = "sequence-classification"

[data]
train = "quickstart/train.csv"
validation = { split = 0.1 }
columns = { text = "text", label = "label" }
max_length = 96

[[data.preprocess]]
plugin = "../plugin/pii_mask.wasm"

[training]
epochs = 1
batch_size = 16
optimizer = { name = "adamw", learning_rate = 1e-3 }
RECIPE
cd "$work/run"
"$retune" run recipe.toml
test -d runs/recipe-1/model
step "passed"
