#!/usr/bin/env bash
# Checks retune on this machine: arithmetic, dropout masks, attention and a step beside the CPU's, parity with transformers, a
# fine-tuning with four sandboxed plugins, a training step beside the same step in PyTorch, a step of SmolLM2-135M's shape
# (grouped heads, a head over 49152 tokens), memory over a thousand steps.
#
#   ./run.sh            # on the first GPU: needs an NVIDIA driver, CUDA 13 (NVRTC and headers), python3 with torch
#   ./run.sh cpu        # on the processor
#
# PYTHON names the interpreter (default python3). Prints a table; exits with 1 when a check fails. results.jsonl keeps
# every number, and log.txt what the programs printed.
set -uo pipefail
cd "$(dirname "$0")"

device="${1:-cuda:0}"
python="${PYTHON:-python3}"
if [[ ! -x retune ]]; then
  echo "unpacking"
  "$python" -c 'import tarfile; tarfile.open("payload.tar.xz").extractall(".")' || exit 1
fi
case "$device" in
  cpu) torch_device=cpu step=step-cpu.json batch=4 seq=128 steps=5 layers=2 smol_seq=64 ;;
  *) torch_device="$device" step=step-gpu.json batch=8 seq=512 steps=20 layers=30 smol_seq=512 ;;
esac
: > results.jsonl
: > log.txt

# section NAME COMMAND...: runs it; JSON lines on its standard output are results, a bad exit is a failed check.
section() {
  local name="$1" code=0
  shift
  echo "== $name"
  "$@" > section.out 2>> log.txt || code=$?
  cat section.out >> log.txt
  "$python" - "$name" "$code" >> results.jsonl <<'PY'
import json, sys
name, code = sys.argv[1], int(sys.argv[2])
for line in open("section.out", encoding="utf-8"):
    if line.startswith('{"check"'):
        print(json.dumps(json.loads(line) | {"section": name}))
print(json.dumps({"section": name, "check": "exit code", "value": code, "unit": "", "at_most": 0, "ok": code == 0}))
PY
  ((code == 0)) || tail -n 15 log.txt
}

torch_step() {
  "$python" step_torch.py --config "$step" --batch $batch --seq $seq --steps $steps --device "$torch_device" > torch.json &&
    "$python" - <<'PY'
import json
torch = json.load(open("torch.json", encoding="utf-8"))
print(json.dumps({"check": "the same step in PyTorch " + torch["torch"], "value": torch["median_seconds"], "unit": "s", "at_most": None, "ok": True}))
for line in open("results.jsonl", encoding="utf-8"):
    row = json.loads(line)
    if row["check"].startswith("training step of step-"):
        ratio = row["value"] / torch["median_seconds"]
        print(json.dumps({"check": "step time, retune over PyTorch", "value": ratio, "unit": "times", "at_most": None, "ok": True}))
PY
}

# On a processor two of its layers: the head is what is large.
smol_step() {
  "$python" - $layers <<'PY' &&
import json, sys
config = json.load(open("smollm.json", encoding="utf-8")) | {"num_hidden_layers": int(sys.argv[1])}
json.dump(config, open("smollm-step.json", "w", encoding="utf-8"))
PY
    ./retune self-check --device "$device" --json --step-config smollm-step.json --batch 4 --seq $smol_seq --steps 3
}

fine_tuning() {
  rm -rf quickstart-run
  ./retune run host/recipes/quickstart.toml --device "$device" --output quickstart-run --quiet --json > summary.json &&
    "$python" - <<'PY'
import json
summary = json.load(open("summary.json", encoding="utf-8"))
before, after = summary["before"]["values"]["accuracy"], summary["test"]["values"]["accuracy"]
print(json.dumps({"check": "accuracy before (validation)", "value": before, "unit": "", "at_most": None, "ok": True}))
print(json.dumps({"check": "accuracy after (test)", "value": after, "unit": "", "at_most": None, "ok": after > 0.5}))
PY
}

echo "== machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | tee -a log.txt
./retune doctor 2>&1 | tee -a log.txt

parity=()
for fixture in fixtures/*/; do parity+=(--parity "${fixture%/}"); done
section "arithmetic and parity" ./retune self-check --device "$device" --json "${parity[@]}"
section "training step" ./retune self-check --device "$device" --json --step-config "$step" --batch $batch --seq $seq --steps $steps
if "$python" -c 'import torch' 2>> log.txt; then
  section "PyTorch" torch_step
else
  echo "   no PyTorch in $python: the step stands alone"
fi
section "SmolLM2-135M's shape" smol_step
section "fine-tuning with four plugins" fine_tuning
section "memory" ./retune self-check --device "$device" --json --memory-config host/recipes/quickstart/config.json --memory-steps 1000

"$python" - <<'PY'
import json, sys
rows = [json.loads(line) for line in open("results.jsonl", encoding="utf-8")]
print(f"\n{'check':<62} {'value':>12} {'unit':<9} {'at most':>9}  result")
seen = set()
for row in rows:
    key = (row["section"] if row["check"] == "exit code" else "", row["check"])
    if key in seen or (row["check"] == "exit code" and row["ok"]):
        continue
    seen.add(key)
    name = row["check"] if key[0] == "" else f"{key[0]}: {row['check']}"
    value = "no number" if row["value"] is None else f"{row['value']:.4g}"
    bound = "" if row["at_most"] is None else f"{row['at_most']:.3g}"
    print(f"{name:<62} {value:>12} {row['unit']:<9} {bound:>9}  {'ok' if row['ok'] else 'FAILED'}")
failed = sum(not row["ok"] for row in rows)
print(f"\n{'all checks hold' if failed == 0 else f'{failed} checks failed; see log.txt'}")
sys.exit(1 if failed else 0)
PY
