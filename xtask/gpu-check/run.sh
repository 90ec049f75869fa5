#!/usr/bin/env bash
# Checks retune on this machine:
#   beside the CPU          arithmetic, dropout masks, attention (windows, grouped heads, soft caps, dropout) and its gradients;
#                           of every family a step, with activations made twice, with LoRA, rsLoRA and DoRA, with a base in
#                           bfloat16, and greedy texts
#   beside transformers     logits, gradients and 20 steps of every family in its variants and tasks; texts of language models
#   beside peft             the same of adapters
#   runs                    a fine-tuning with four sandboxed plugins; LoRA on chats, whose answers are known, and what it answers when
#                           merged; memory over a thousand steps
#   time                    a training step beside the same step in PyTorch; one of SmolLM2-135M's shape (a head over 49152 tokens)
#
#   ./run.sh            # on the first GPU: needs an NVIDIA driver, CUDA 13 (NVRTC and headers), python3 with torch
#   ./run.sh cpu        # on the processor
#
# PYTHON names the interpreter (default python3). Prints a table: what was compared, of how many models or cases, the largest
# difference, its bound, and whether it was kept. Exits with 1 when a check fails. results.jsonl keeps every number, and log.txt what
# the programs printed.
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

# A model that is made from nothing, kept in bfloat16 and taught by LoRA; there is one right answer to each question.
chat() {
  rm -rf chat/base chat/base-run chat/lora-run chat/merged
  ./retune run chat/base.toml --device "$device" --output chat/base-run --quiet --json > /dev/null &&
    "$python" to_bfloat16.py chat/base-run/model chat/base &&
    ./retune run chat/lora.toml --device "$device" --output chat/lora-run --quiet --json > /dev/null &&
    ./retune merge chat/lora-run --out chat/merged > /dev/null &&
    answers chat/lora-run "chats by LoRA on bfloat16, wrong answers" &&
    answers chat/merged "the same merged, wrong answers"
}

# answers MODEL NAME: asks every question.
answers() {
  ./retune generate "$1" --device "$device" --file chat/questions.jsonl --max-new-tokens 4 --json > answers.jsonl &&
    "$python" - "$2" <<'PY'
import json, sys
lines = lambda path: [json.loads(line) for line in open(path, encoding="utf-8")]
questions, answers = lines("chat/questions.jsonl"), lines("answers.jsonl")
assert len(questions) == len(answers), f"{len(answers)} answers to {len(questions)} questions"
wrong = sum(answer["text"].strip() != question["answer"] for question, answer in zip(questions, answers))
print(json.dumps({"check": sys.argv[1], "of": "", "value": wrong, "unit": "", "at_most": 0, "ok": wrong == 0}))
PY
}

echo "== machine"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null | tee -a log.txt
./retune doctor 2>&1 | tee -a log.txt

section "beside the CPU" ./retune self-check --device "$device" --json
section "beside transformers and peft" ./retune self-check --device "$device" --json --fixtures fixtures
section "training step" ./retune self-check --device "$device" --json --step-config "$step" --batch $batch --seq $seq --steps $steps
if "$python" -c 'import torch' 2>> log.txt; then
  section "PyTorch" torch_step
else
  echo "   no PyTorch in $python: the step stands alone"
fi
section "SmolLM2-135M's shape" smol_step
section "fine-tuning with four plugins" fine_tuning
section "chats by LoRA" chat
section "memory" ./retune self-check --device "$device" --json --memory-config host/recipes/quickstart/config.json --memory-steps 1000

"$python" - <<'PY'
import json, math, sys
rows = [json.loads(line) for line in open("results.jsonl", encoding="utf-8")]
checks = {}
for row in rows:
    if row["check"] == "exit code":
        if row["ok"]:
            continue
        row["check"] = f"{row['section']}: exit code"
    checks.setdefault(row["check"], []).append(row)
number = lambda value: "no number" if value is None else "0" if value == 0 else f"{value:.3g}"
print(f"\n{'compared':<66} {'of':>4} {'largest':>10} {'unit':<8} {'at most':>8}  result")
for check, found in checks.items():
    worst = max(found, key=lambda row: math.inf if row["value"] is None else row["value"])
    failed = [row for row in found if not row["ok"]]
    bound = "" if worst["at_most"] is None else number(worst["at_most"])
    result = "" if worst["at_most"] is None and not failed else "ok" if not failed else f"FAILED: {len(failed)} of {len(found)}"
    count = len(found) if len(found) > 1 else ""
    print(f"{check:<66} {count:>4} {number(worst['value']):>10} {worst['unit']:<8} {bound:>8}  {result}".rstrip())
    for row in failed[:8]:
        if row.get("of"):
            print(f"    {row['of']}: {number(row['value'])}")
failed = sum(not row["ok"] for row in rows)
made = sum(row["at_most"] is not None and row["check"] != "exit code" for row in rows)
print(f"\n{f'all {made} comparisons hold' if failed == 0 else f'{failed} checks failed; log.txt says more. Next: ./retune doctor, then report results.jsonl'}")
sys.exit(1 if failed else 0)
PY
