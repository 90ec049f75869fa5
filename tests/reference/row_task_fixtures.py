"""Writes what transformers makes of rows with several labels and of rows with numbers: tests/fixtures/row-tasks.

    python tests/reference/row_task_fixtures.py

A small random model for each, as `family_fixtures.py` writes them: the same names in expected.safetensors, with labels [batch, K]
in float32. The loss is that of the class in transformers, which takes it by `problem_type`: BCEWithLogitsLoss or MSELoss.
"""

import torch
import transformers
from family_fixtures import DECAY, GROUPED, RATE, SIZES, STEPS, VOCAB, disturb, inputs, shown
from make_fixtures import fresh, write_expected

DISTIL = dict(vocab_size=VOCAB, dim=32, n_layers=2, n_heads=4, hidden_dim=24, max_position_embeddings=16)
SEVERAL, NUMBERS = "multi_label_classification", "regression"

FIXTURES = {
    "bert-labels": ("BertForSequenceClassification", SEVERAL, dict(SIZES, num_labels=4)),
    "llama-labels": ("LlamaForSequenceClassification", SEVERAL, dict(GROUPED, num_labels=3)),
    "bert-number": ("BertForSequenceClassification", NUMBERS, dict(SIZES, num_labels=1)),
    "distilbert-numbers": ("DistilBertForSequenceClassification", NUMBERS, dict(DISTIL, num_labels=2)),
}


def write(name, seed):
    class_name, problem, settings = FIXTURES[name]
    model_class = getattr(transformers, class_name)
    model = model_class(model_class.config_class(problem_type=problem, **settings))
    disturb(model, seed)
    directory = fresh(f"row-tasks/{name}")
    model.to(torch.bfloat16).save_pretrained(directory)
    model = model_class.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    ids, mask, lengths = inputs(model, seed + 1)
    generator = torch.Generator().manual_seed(seed + 2)
    shape = (len(lengths), model.config.num_labels)
    if problem == SEVERAL:
        labels = (torch.rand(shape, generator=generator) < 0.4).float()
    else:
        labels = torch.randn(shape, generator=generator)

    def run():
        """Row by row, so that padding plays no part; rows have as many cells, so the mean of means is the mean."""
        outputs = [
            model(input_ids=ids[i : i + 1, :n], attention_mask=mask[i : i + 1, :n], labels=labels[i : i + 1])
            for i, n in enumerate(lengths)
        ]
        return torch.cat([o.logits for o in outputs]), torch.stack([o.loss for o in outputs]).mean()

    logits, loss = run()
    loss.backward()
    expected = {"input_ids": ids, "lengths": lengths, "labels": labels, "logits": logits.detach(), "loss": loss.reshape(1)}
    expected |= {f"grad.{n}": shown(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    matrices = [p for p in model.parameters() if p.dim() > 1 and p.requires_grad]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [dict(params=matrices, weight_decay=DECAY), dict(params=vectors, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        _, loss = run()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    expected["losses"] = torch.stack(losses)
    write_expected(directory, expected)
    print(f"{name}: loss {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number, name in enumerate(FIXTURES):
        write(name, 300 + 10 * number)
