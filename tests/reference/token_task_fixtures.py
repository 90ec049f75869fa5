"""Writes what transformers and seqeval make of tasks over tokens: tests/fixtures/token-tasks and tests/fixtures/seqeval.json.

    python tests/reference/token_task_fixtures.py [NAME...]

token-tasks holds a small random model for each class that labels words or fills masks, as `family_fixtures.py` writes them:
the same names in expected.safetensors, with labels as the class takes them. For masked models both sides read the ids with
masks that are written here; how masks are drawn is not compared. seqeval.json holds random sequences of tags with the scores
of the package; `host/roles/src/builtin/seqeval_tests.rs` reads them.
"""

import json
import random
import sys
import warnings

import torch
from family_fixtures import GROUPED, SIZES, VOCAB, record
from make_fixtures import FIXTURES as ROOT
from make_fixtures import fresh
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

DISTIL = dict(vocab_size=VOCAB, dim=32, n_layers=2, n_heads=4, hidden_dim=24, max_position_embeddings=16)
GPT2 = dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=16, n_inner=24)
MODERN = dict(SIZES, num_hidden_layers=2, local_attention=4)
ROBERTA = dict(SIZES, pad_token_id=1, bos_token_id=0)

FIXTURES = {
    "bert-tags": ("BertForTokenClassification", dict(SIZES, num_labels=5)),
    "roberta-tags": ("RobertaForTokenClassification", dict(ROBERTA, num_labels=3)),
    "xlm-roberta-tags": ("XLMRobertaForTokenClassification", dict(ROBERTA, type_vocab_size=1, num_labels=3)),
    "distilbert-tags": ("DistilBertForTokenClassification", dict(DISTIL, num_labels=3)),
    "modernbert-tags": ("ModernBertForTokenClassification", dict(
        MODERN, num_labels=3, classifier_bias=True, norm_bias=True, classifier_activation="silu")),
    "llama-tags": ("LlamaForTokenClassification", dict(GROUPED, num_labels=4)),
    "mistral-tags": ("MistralForTokenClassification", dict(GROUPED, sliding_window=3, num_labels=3)),
    "qwen2-tags": ("Qwen2ForTokenClassification", dict(GROUPED, num_labels=3)),
    "qwen3-tags": ("Qwen3ForTokenClassification", dict(GROUPED, head_dim=8, num_labels=3)),
    "phi3-tags": ("Phi3ForTokenClassification", dict(GROUPED, num_labels=3)),
    "gemma2-tags": ("Gemma2ForTokenClassification", dict(GROUPED, head_dim=8, sliding_window=4, num_labels=3)),
    "smollm3-tags": ("SmolLM3ForTokenClassification", dict(GROUPED, no_rope_layer_interval=2, num_labels=3)),
    "gpt2-tags": ("GPT2ForTokenClassification", dict(GPT2, num_labels=3)),
    "bert-masked": ("BertForMaskedLM", dict(SIZES)),
    "bert-masked-untied": ("BertForMaskedLM", dict(SIZES, hidden_act="relu", tie_word_embeddings=False)),
    "roberta-masked": ("RobertaForMaskedLM", dict(ROBERTA, hidden_act="relu")),
    "xlm-roberta-masked": ("XLMRobertaForMaskedLM", dict(ROBERTA, type_vocab_size=1)),
    "distilbert-masked": ("DistilBertForMaskedLM", dict(DISTIL, activation="relu")),
    "distilbert-masked-untied": ("DistilBertForMaskedLM", dict(DISTIL, tie_word_embeddings=False)),
    "modernbert-masked": ("ModernBertForMaskedLM", dict(MODERN)),
    "modernbert-masked-plain": ("ModernBertForMaskedLM", dict(
        MODERN, decoder_bias=False, classifier_bias=True, norm_bias=True, classifier_activation="relu",
        tie_word_embeddings=False)),
    "roberta-masked-untied": ("RobertaForMaskedLM", dict(ROBERTA, num_hidden_layers=1, tie_word_embeddings=False)),
}


def write(name, seed):
    class_name, settings = FIXTURES[name]
    directory = fresh(f"token-tasks/{name}")
    losses = record(directory, class_name, settings, seed)
    size = sum(path.stat().st_size for path in directory.iterdir())
    print(f"{name}: loss {losses[0]:.4f} to {losses[-1]:.4f}, {size / 1024:.0f} KiB")


def scores(labels, predictions):
    warnings.simplefilter("ignore")
    values = {
        "f1": f1_score(labels, predictions),
        "precision": precision_score(labels, predictions),
        "recall": recall_score(labels, predictions),
        "accuracy": accuracy_score(labels, predictions),
    }
    from seqeval.metrics.sequence_labeling import get_entities

    kinds = sorted({kind for rows in (labels, predictions) for row in rows for kind, *_ in get_entities(row)})
    each = f1_score(labels, predictions, average=None)
    values |= {f"f1.{kind}": float(value) for kind, value in zip(kinds, each)}
    return {name: float(value) for name, value in values.items()}


def seqeval():
    draw = random.Random(7)
    bio = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B"]
    schemes = [bio, bio, bio + ["E-PER", "S-PER", "E-LOC", "S-LOC"], ["O", "I-PER", "I-LOC"], ["NOUN", "VERB", "NUM", "O"], ["O", "B", "I"]]
    cases = []
    for number in range(320):
        tags = schemes[number % len(schemes)]
        labels = [[draw.choice(tags) for _ in range(draw.randint(1, 9))] for _ in range(draw.randint(1, 4))]
        share = draw.choice([0.0, 0.2, 0.5, 1.0])
        predictions = [[draw.choice(tags) if draw.random() < share else tag for tag in row] for row in labels]
        if number % 40 == 39:
            predictions = [["O"] * len(row) for row in labels]
        cases.append({"labels": labels, "predictions": predictions, "values": scores(labels, predictions)})
    (ROOT / "seqeval.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    print(f"seqeval: {len(cases)} cases")


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = sys.argv[1:]
    for seed, name in enumerate(FIXTURES):
        if not wanted or name in wanted:
            write(name, 500 + 10 * seed)
    if not wanted or "seqeval" in wanted:
        seqeval()
    known = {path.name for path in (ROOT / "token-tasks").iterdir()}
    print(sorted(known - set(FIXTURES)), "are there without an entry") if known - set(FIXTURES) else None
