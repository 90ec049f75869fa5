"""How fast transformers answers, to put beside `cargo run --release -p retune-train --example generate_speed`.

    python tests/reference/generate_speed.py SmolLM2-135M-Instruct [TOKENS [TIMES [DTYPE]]]

The same prompts, batch sizes and numbers of tokens; DTYPE is float32 or bfloat16. Needs torch and transformers.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

directory = Path(sys.argv[1]).expanduser()
tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 64
times = int(sys.argv[3]) if len(sys.argv) > 3 else 3
dtype = sys.argv[4] if len(sys.argv) > 4 else "float32"
fixture = Path(__file__).resolve().parent.parent / "fixtures/generation/smollm2.json"
prompts = [case["prompt"] for case in json.loads(fixture.read_text())["answers"]]
model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype)).eval()

for batch, count in [(1, 4), (8, 8)]:
    rates = []
    for _ in range(times):
        began = time.perf_counter()
        for start in range(0, count, batch):
            rows = prompts[start : start + batch]
            longest = max(map(len, rows))
            ids = torch.tensor([[2] * (longest - len(row)) + row for row in rows])
            mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
            with torch.inference_mode():
                made = model.generate(
                    ids, attention_mask=mask, do_sample=False, min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=2
                )
            assert made.shape[1] == longest + tokens
        rates.append(count * tokens / (time.perf_counter() - began))
    print(json.dumps({"dtype": dtype, "batch": batch, "prompts": count, "tokens_per_second": statistics.median(rates)}))
