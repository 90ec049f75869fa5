"""What transformers' `generate` answers, and what its logits processors make of logits: tests/fixtures/generation/.

    python tests/reference/generate_fixtures.py [SmolLM2-135M-Instruct]

Without a model's folder only the tiny models of tests/fixtures/families are asked. Needs torch and transformers.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.logits_process import (
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

HERE = Path(__file__).resolve().parent.parent / "fixtures"
OUT = HERE / "generation"
torch.set_num_threads(1)
torch.manual_seed(0)

QUESTIONS = [
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "What is 17 plus 25?",
    "Name three colours.",
    "Translate 'good morning' to Spanish.",
    "Why is the sky blue?",
    "Give me a recipe for scrambled eggs.",
    "What does HTTP stand for?",
    "Write a haiku about autumn.",
    "How many legs does a spider have?",
    "Explain gravity to a child.",
    "List the planets of the solar system.",
    "What is the opposite of 'generous'?",
    "Who wrote Hamlet?",
    "Summarise: The cat sat on the mat because it was warm there, and the dog watched it all day.",
    "Write a Python function that adds two numbers.",
    "Is water wet? Answer in one word.",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did "
    "Natalia sell altogether in April and May?",
    "Grüße aus Köln! Was ist ein Äquator? 🌍",
    "Tell me a joke.",
]


def greedy(model, prompt, count, **more):
    ids = torch.tensor([prompt])
    given = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count, output_scores=True,
        return_dict_in_generate=True, **more,
    )
    margins = [float((t := scores[0].topk(2).values)[0] - t[1]) for scores in given.scores]
    return given.sequences[0, len(prompt):].tolist(), min(margins)


def tiny():
    found = {}
    for directory in sorted([*(HERE / "families").iterdir(), HERE / "llama-tiny"]):
        config = json.loads((directory / "config.json").read_text())
        if not config["architectures"][0].endswith(("ForCausalLM", "LMHeadModel")):
            continue
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        vocabulary = model.config.get_text_config().vocab_size
        positions = model.config.get_text_config().max_position_embeddings
        cases = []
        for length, more in [(3, {}), (7, {"repetition_penalty": 1.3}), (5, {"min_new_tokens": 6})]:
            prompt = [(11 * i * i + 5 * i + length) % (vocabulary - 4) + 3 for i in range(length)]
            ids, margin = greedy(model, prompt, min(14, positions - length), **more)
            print(directory.name, length, len(ids), f"margin {margin:.1e}")
            # Closer ones are decided by rounding.
            if margin > 1e-4:
                cases.append({"prompt": prompt, **more, "max_new_tokens": min(14, positions - length), "ids": ids})
        found[directory.name] = cases
    (OUT / "tiny.json").write_text(json.dumps(found) + "\n")


def processors():
    cases = []
    for index, (penalty, temperature, top_k, top_p, min_p, least) in enumerate([
        (1.0, 1.0, 50, 1.0, None, 0),
        (1.0, 0.7, 8, 1.0, None, 0),
        (1.0, 1.0, 0, 0.8, None, 0),
        (1.0, 1.5, 0, 1.0, 0.2, 0),
        (1.4, 0.6, 12, 0.9, 0.05, 3),
        (0.8, 2.0, 20, 0.5, 0.3, 0),
        (1.0, 1.0, 1, 0.3, 1.0, 0),
        (1.0, 0.3, 5, 0.01, None, 0),
        # What is at the edge of what can be, or beyond what there is.
        (1.0, 1.0, 1000, 1.0, None, 0),
        (1.0, 1.0, 40, 1.0, 0.0, 3),
        (1.0, 1.0, 39, 0.999999, None, 3),
        (1.0, 1e-4, 0, 0.9, 0.5, 0),
        (1.0, 1e4, 0, 0.5, None, 0),
        (1e-3, 1.0, 6, 1.0, None, 0),
        (1e3, 1.0, 0, 0.9, 1.0, 0),
        (1.0, 1.0, 0, 1e-9, None, 0),
        (0.5, 1.0, 1, 1.0, 1.0, 3),
    ]):
        logits = torch.randn(1, 40) * 1.5
        # Equal ones at the edge of top-k.
        logits[0, 7] = logits[0, 21]
        ids = torch.randint(0, 40, (1, 6))
        scores = logits.clone()
        if penalty != 1.0:
            scores = RepetitionPenaltyLogitsProcessor(penalty=penalty)(ids, scores)
        if least:
            scores = MinNewTokensLengthLogitsProcessor(4, least, 2, device="cpu")(ids, scores)
        if temperature != 1.0:
            scores = TemperatureLogitsWarper(temperature)(ids, scores)
        if top_k:
            scores = TopKLogitsWarper(top_k)(ids, scores)
        if top_p < 1.0:
            scores = TopPLogitsWarper(top_p)(ids, scores)
        if min_p is not None:
            scores = MinPLogitsWarper(min_p)(ids, scores)
        left = [[i, float(s)] for i, s in enumerate(scores[0]) if s > -float("inf")]
        print("processors", index, len(left), "left")
        cases.append({
            "repetition_penalty": penalty, "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
            "min_new_tokens": least, "text": ids[0].tolist(), "logits": logits[0].tolist(), "left": left,
        })
    (OUT / "processors.json").write_text(json.dumps(cases) + "\n")


def real(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    cases = []
    for index, question in enumerate(QUESTIONS):
        text = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids, margin = greedy(model, prompt, 32 if index % 2 else 64)
        print(f"{question[:40]!r}: {len(ids)} tokens, margin {margin:.1e}")
        cases.append({
            "question": question, "prompt": prompt, "max_new_tokens": 32 if index % 2 else 64, "ids": ids,
            "text": tokenizer.decode(ids, skip_special_tokens=True), "margin": margin,
        })
    stops = []
    for index, stop in [(5, "\n"), (11, "Mars"), (2, ". "), (19, "ou")]:
        ids = torch.tensor([cases[index]["prompt"]])
        given = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=64, stop_strings=[stop, "never said"],
            tokenizer=tokenizer,
        )[0, ids.shape[1]:].tolist()
        print(f"stop {stop!r}: {tokenizer.decode(given)!r}")
        stops.append({"prompt": cases[index]["prompt"], "stop": stop, "ids": given})
    (OUT / "smollm2.json").write_text(json.dumps({"answers": cases, "stops": stops}, ensure_ascii=False) + "\n")


OUT.mkdir(exist_ok=True)
tiny()
processors()
if len(sys.argv) > 1:
    real(Path(sys.argv[1]).expanduser())
