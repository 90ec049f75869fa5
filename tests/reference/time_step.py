"""Times forward and backward of one step in PyTorch, to put beside retune's.

    python tests/reference/time_step.py DIRECTORY [ROWS] [TOKENS] [FROZEN BLOCKS]
    cargo run --example step_time -- DIRECTORY [ROWS] [TOKENS] [FROZEN BLOCKS]

Both use all cores unless OMP_NUM_THREADS (here) and RAYON_NUM_THREADS (there) say otherwise, dropout as the config
says, 77 classes and the same ids. CPU time is printed beside wall time, so that a busy machine does not mislead.
"""

import os
import statistics
import sys
import time

import torch
from transformers import BertForSequenceClassification


def main():
    rows, tokens, frozen = (int(a) for a in (sys.argv[2:] + ["16", "32", "0"][len(sys.argv) - 2 :]))
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    model = BertForSequenceClassification.from_pretrained(sys.argv[1], num_labels=77).train()
    below = ["embeddings."] * bool(frozen) + [f"encoder.layer.{i}." for i in range(frozen)]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(part in name for part in below))
    ids = torch.tensor([[1000 + (r * 31 + t * 17) % 20000 for t in range(tokens)] for r in range(rows)])
    labels = torch.arange(rows) % 77
    wall, cpu = [], []
    for _ in range(12):
        model.zero_grad()
        start = time.perf_counter(), time.process_time()
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss.backward()
        wall.append((time.perf_counter() - start[0]) * 1e3)
        cpu.append((time.process_time() - start[1]) * 1e3)
    print(f"wall ms: best {min(wall):.1f} median {statistics.median(wall):.1f}; cpu ms: best {min(cpu):.0f} median {statistics.median(cpu):.0f}")


if __name__ == "__main__":
    main()
