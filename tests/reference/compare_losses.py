#!/usr/bin/env python3
"""Losses of a run beside those of a peer.

    python3 tests/reference/compare_losses.py RUN/events.jsonl LOSSES.json

LOSSES.json is a list with the loss of each step, as `lora_steps.py` writes it; `tests/fixtures/lora-gsm8k/peft_losses.json` is the one
of the recipe `chat-lora` (200 steps, seed 42) in transformers 5.24 and peft 0.21.2. Prints the largest relative difference and its step;
fails when it is above one percent, or when the run has fewer steps.
"""

import json
import sys


def main():
    log, peer = sys.argv[1:3]
    with open(peer) as file:
        expected = json.load(file)
    with open(log) as file:
        events = [json.loads(line) for line in file]
    losses = {event["step"]: event["loss"] for event in events if event["event"] == "step"}
    missing = [step for step in range(1, len(expected) + 1) if step not in losses]
    if missing:
        sys.exit(f"{log} has no loss of step {missing[0]}")
    off = {step: abs(losses[step] - loss) / abs(loss) for step, loss in enumerate(expected, 1)}
    worst = max(off, key=off.get)
    print(f"{len(off)} steps, at most {off[worst]:.2g} apart (step {worst}: {losses[worst]:.6f}, peer {expected[worst - 1]:.6f})")
    if off[worst] > 0.01:
        sys.exit("more than one percent")


if __name__ == "__main__":
    main()
