"""One line per operation of the contract, run by the mock when `agreement.py` is built and by the host when it is used."""

from retune_sdk import Dtype, arange, cat, eye, full, fused, stack, tensor

X = [[0.5, -1.25, 2.0, 0.0], [3.5, -0.75, 1.5, -2.5], [0.25, 0.125, -4.0, 1.0]]


def cases():
    """Names and functions of no argument that give a tensor."""
    x, row, column = tensor(X), tensor([2.0, -1.0, 0.5, 4.0]), tensor([[1.5], [-2.0], [0.25]])
    whole, divisor, labels = tensor([[7, -7], [3, 2]]), tensor([2, -2]), tensor([2, -100, 0])
    index = tensor([[0, 3], [1, 1], [2, 0]])
    mask = x > 0
    found = {
        name: lambda name=name: getattr(x, name)()
        for name in [
            "abs",
            "sign",
            "reciprocal",
            "exp",
            "erf",
            "floor",
            "ceil",
            "round",
            "tanh",
            "sigmoid",
            "logsigmoid",
            "softplus",
            "relu",
            "gelu",
            "silu",
            "isfinite",
            "detach",
            "softmax",
            "log_softmax",
            "argmax",
            "argmin",
            "sum",
            "mean",
            "amax",
            "amin",
            "var",
            "logsumexp",
            "norm",
            "flatten",
        ]
    }
    positive = x.abs() + 0.5
    found |= {name: lambda name=name: getattr(positive, name)() for name in ("log", "log1p", "sqrt", "rsqrt")}
    found |= {
        "neg": lambda: -x, "add": lambda: x + row, "sub": lambda: x - column, "mul": lambda: x * row, "div": lambda: x / column,
        "pow": lambda: positive**row, "scalars": lambda: (1 - x * 3 + 2) / 4, "power": lambda: x**2, "over": lambda: 1 / row,
        "matmul": lambda: x @ x.transpose(0, 1), "maximum": lambda: x.maximum(row), "minimum": lambda: x.minimum(0.5),
        "clamp": lambda: x.clamp(-1, 1), "clamp min": lambda: x.clamp(min=0.1), "eq": lambda: x == row, "ne": lambda: x != 0.5,
        "lt": lambda: x < row, "le": lambda: x <= 0.5, "gt": lambda: x > 0.1, "ge": lambda: x >= column, "and": lambda: mask & (x < 2),
        "or": lambda: mask | (x < -2), "not": lambda: ~mask, "int add": lambda: whole + divisor, "int div": lambda: whole / divisor,
        "int scalar": lambda: whole * -2.5 + 1.9, "int sum": lambda: whole.sum(dim=0), "int float": lambda: whole * tensor([0.5, 2.0]),
        "any": lambda: mask.any(dim=0), "all": lambda: mask.all(dim=-1, keepdim=True), "cumsum": lambda: x.cumsum(1),
        "sum dims": lambda: x.sum(dim=(0, 1), keepdim=True), "mean dim": lambda: x.mean(dim=-1), "var dim": lambda: x.var(dim=0),
        "histogram": lambda: x.histogram(4, -1, 1), "histogram of weights": lambda: x.histogram(3, -1, 1, positive),
        "reshape": lambda: x.reshape(2, -1), "permute": lambda: x.permute(1, 0), "expand": lambda: column.expand(2, -1, 4),
        "squeeze": lambda: column.squeeze(-1), "unsqueeze": lambda: x.unsqueeze(1), "slice": lambda: x.slice(1, -3, 100, 2),
        "flip": lambda: x.flip((0, 1)), "repeat": lambda: x.repeat(0, 2), "gather": lambda: x.gather(-1, index),
        "index_select": lambda: x.index_select(0, tensor([2, 0, 0])), "scatter_add": lambda: x.scatter_add(1, index, tensor([[1.0, 2.0]] * 3)),
        "where": lambda: mask.where(x, row), "masked_fill": lambda: x.masked_fill(mask, -9), "one_hot": lambda: tensor([0, 2]).one_hot(3),
        "topk": lambda: x.topk(2)[0], "topk at": lambda: x.topk(2)[1], "sort": lambda: x.sort(0)[0], "sort at": lambda: x.sort(1, True)[1],
        "index": lambda: x[1:, None, ::2], "index last": lambda: x[-1], "index tensor": lambda: x[tensor([1, 1])],
        "to int": lambda: x.long(), "to bool": lambda: x.bool(), "to double": lambda: x.to(Dtype.FLOAT64), "to int32": lambda: x.to(Dtype.INT32),
        "full": lambda: full([2, 2], 1.5), "arange": lambda: arange(5, -4, -2), "eye": lambda: eye(3), "cat": lambda: cat([x, whole.reshape(1, 4)], 0),
        "stack": lambda: stack([x, x], -1), "token_log_probs": lambda: fused.token_log_probs(x, labels),
        "mean_log_probs": lambda: fused.mean_log_probs(x), "kl_div": lambda: fused.kl_div(x, x.flip(1), 2.0),
        "kl_div reverse": lambda: fused.kl_div(x, x.flip(1), 1.0, True), "entropy": lambda: fused.entropy(x),
    }  # fmt: skip
    return found


def answers():
    """Shape, type and numbers of each case; what fails is told as such."""
    found = {}
    for name, case in cases().items():
        given = case()
        found[name] = (list(given.shape), given.dtype.value, given.to_float32())
    return found
