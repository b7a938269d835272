"""Writes the *.safetensors beside it: what PyTorch computes for the ops, layers, models and steps of Adam that we have.

Made with Python 3.11.7, torch 2.15.0, numpy 2.4.6 and safetensors 0.8.0, on one thread of a CPU. To make them again:

    python -m venv venv && venv/bin/pip install torch numpy safetensors && venv/bin/python make.py

The same versions write the same bytes; others may change the last digits. The tests, in tests/agrees_with_pytorch/, need
the files and no Python.

Seeds: every case draws its numbers from a generator seeded with the CRC-32 of its name, so a new case changes no other.
Inputs, weights and cotangents are drawn in f32 and stored so, and f64 and f32 start from the same numbers.

Names: `CASE/KEY` is a number that goes in, `CASE/f64.KEY` and `CASE/f32.KEY` are what comes out in either type. Parameters
go by our paths; the weights of layers lie as [outputs, inputs] in both.

What PyTorch does not define, or not as we do, is written out here:
* a softmax over nothing is NaN in PyTorch; here it is zeros with a gradient of zeros (`masked_softmax`);
* gradients are clipped to a norm of 1 by the factor 1 / norm, where `clip_grad_norm_` has 1 / (norm + 1e-6);
* weight decay concerns what has two axes, by parameter groups.

A key projection's bias moves all scores of a query alike, which softmax does not see: its gradient is exactly zero in
mathematics, and rounding noise in any program. Adam divides by the size of the gradient, so with a tiny ε the noise moves
this bias by full steps, in a direction of its own in every program; the trajectories leave it out. It changes no output.
"""

import math
import platform
import zlib
from pathlib import Path

import numpy
import safetensors
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

PAD, BOS, EOS, VOCAB = 0, 1, 2, 11
TYPES = {"f64": torch.float64, "f32": torch.float32}


class Case:
    """Random numbers for a case, and the tensors that are kept of it."""

    def __init__(self, name):
        self.name = name
        self.generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        self.tensors = {}

    def normal(self, *shape, mean=0.0, deviation=1.0):
        return mean + deviation * torch.randn(shape, generator=self.generator, dtype=torch.float32)

    def integers(self, low, high, *shape):
        return torch.randint(low, high, shape, generator=self.generator)

    def keep(self, key, tensor):
        tensor = torch.as_tensor(tensor).detach()
        assert tensor.isfinite().all(), f"{self.name}/{key}"
        self.tensors[f"{self.name}/{key}"] = tensor.clone().contiguous()

    def keep_all(self, prefix, tensors):
        for key, tensor in tensors.items():
            self.keep(prefix + key, tensor)


def gradient(tensor):
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def counted(counts, keys):
    """Flags that keep the first `counts[..]` of `keys` keys: [.., keys]."""
    return torch.arange(keys) < torch.as_tensor(counts).unsqueeze(-1)


# The ops: the cases of autograd/src/ops/, by their names. A function of the inputs, whose shapes come before it.


def masked_softmax(x, keep):
    some = keep.any(-1, keepdim=True)
    # A row that keeps nothing is put through softmax whole and then dropped, so that no NaN is met on either way.
    return torch.where(some, x.masked_fill(some & ~keep, -math.inf).softmax(-1), 0)


def attention(heads, counts=None):
    """Heads side by side in the last axis, `counts` [B, T] of kept keys."""

    def split(x):
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    def run(q, k, v):
        if counts is None:
            y = F.scaled_dot_product_attention(split(q), split(k), split(v))
        elif (torch.tensor(counts) > 0).all():
            keep = counted(counts, k.shape[1]).unsqueeze(1)
            y = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=keep)
        else:
            # Versions of PyTorch differ in what a query gets that sees nothing.
            keep = counted(counts, k.shape[1]).unsqueeze(1)
            scores = split(q) @ split(k).transpose(-1, -2) / math.sqrt(q.shape[-1] // heads)
            y = masked_softmax(scores, keep) @ split(v)
        return y.transpose(1, 2).flatten(-2)

    return run


def packed_attention(q, k, v):
    """Sentences of two, none and three queries over three, two and no keys: [5, 4] each."""
    first = attention(2, [[2, 3]])(q[None, :2], k[None, :3], v[None, :3])[0]
    return torch.cat([first, torch.zeros_like(q[2:])])


def flags(text, *shape):
    return torch.tensor([letter == "1" for letter in text]).reshape(shape)


def cross_entropy(x, targets, smoothing, ignore=-100):
    return F.cross_entropy(x.reshape(-1, x.shape[-1]), torch.tensor(targets), label_smoothing=smoothing, ignore_index=ignore)


OPS = {
    "add": ([(2, 3), (2, 3)], torch.add),
    "add, broadcast": ([(2, 1, 3), (4, 1)], torch.add),
    "add, to itself": ([(2, 3)], lambda a: a + a),
    "attention": ([(2, 3, 4), (2, 5, 4), (2, 5, 4)], attention(2)),
    "attention, masked": ([(2, 3, 4)] * 3, attention(2, [[1, 2, 3], [0, 1, 1]])),
    "attention, several blocks": ([(1, 70, 2)] * 3, attention(1, [list(range(1, 71))])),
    "attention, several tiles": ([(1, 3, 2), (1, 300, 2), (1, 300, 2)], attention(1, [[200, 257, 300]])),
    "attention, packed": ([(5, 4)] * 3, packed_attention),
    "attention, of itself": ([(1, 3, 4)], lambda x: attention(2)(x, x, x)),
    "concat": ([(2, 3, 2), (2, 1, 2)], lambda *x: torch.cat(x, 1)),
    "concat, three": ([(2, 3), (2, 1), (2, 2)], lambda *x: torch.cat(x, 1)),
    "cross_entropy": ([(2, 3, 7)], lambda x: cross_entropy(x, [1, 0, 6, 2, 2, 0], 0.1, 0)),
    "cross_entropy, plain": ([(4, 5)], lambda x: cross_entropy(x, [1, 0, 4, 2], 0.0)),
    "detach": ([(2, 3)], lambda x: x + torch.zeros_like(x).detach()),
    "embedding": ([(5, 3)], lambda table: F.embedding(torch.tensor([[4, 0, 1], [4, 4, 2]]), table)),
    "gelu": ([(3, 7)], lambda x: F.gelu(x, approximate="tanh")),
    "layer_norm": ([(2, 3, 5), (5,), (5,)], lambda x, gamma, beta: F.layer_norm(x, (5,), gamma, beta, 1e-5)),
    "layer_norm, wide": ([(3, 40), (40,), (40,)], lambda x, gamma, beta: F.layer_norm(x, (40,), gamma, beta, 1e-5)),
    "linear": ([(2, 3, 4), (5, 4), (5,)], F.linear),
    "linear, no bias": ([(3, 4), (2, 4)], F.linear),
    "linear_relu": ([(2, 3, 4), (5, 4), (5,)], lambda x, w, b: F.linear(x, w, b).relu()),
    "linear_cross_entropy": (
        [(2, 3, 4), (7, 4)], lambda x, w: 1.7 * cross_entropy(F.linear(x, w), [1, 0, 6, 2, 2, 0], 0.1, 0)),
    "linear_cross_entropy, several blocks": (
        [(600, 2), (3, 2)], lambda x, w: cross_entropy(F.linear(x, w), [i % 3 for i in range(600)], 0.1)),
    "mask_fill": ([(2, 3)], lambda x: x.masked_fill(~flags("101", 3), -5.0)),
    "masked_softmax": ([(2, 3, 4)], lambda x: masked_softmax(x, flags("101100001111", 3, 4))),
    "masked_softmax, broadcast": ([(2, 3, 4)], lambda x: masked_softmax(x, flags("11001110", 2, 1, 4))),
    "matmul": ([(3, 4), (4, 2)], torch.matmul),
    "matmul, batched": ([(2, 2, 3, 4), (2, 2, 4, 2)], torch.matmul),
    "matmul, one right factor": ([(2, 3, 4), (4, 2)], torch.matmul),
    "matmul, A·Bᵀ": ([(2, 3, 4), (2, 5, 4)], lambda a, b: a @ b.mT),
    "matmul, A·Bᵀ, one right factor": ([(2, 3, 4), (5, 4)], lambda a, b: a @ b.mT),
    "matmul, Aᵀ·B": ([(2, 4, 3), (2, 4, 5)], lambda a, b: a.mT @ b),
    "matmul, Aᵀ·B, one right factor": ([(2, 4, 3), (4, 5)], lambda a, b: a.mT @ b),
    "matmul, Aᵀ·Bᵀ": ([(2, 4, 3), (2, 5, 4)], lambda a, b: a.mT @ b.mT),
    "mean": ([(2, 3)], torch.mean),
    "mul": ([(2, 3), (2, 3)], torch.mul),
    "mul, broadcast": ([(2, 1, 3), (4, 1)], torch.mul),
    "mul, by itself": ([(2, 3)], lambda a: a * a),
    "permute": ([(2, 3, 4)], lambda x: x.permute(2, 0, 1)),
    "permute, transpose": ([(2, 3, 4)], lambda x: x.mT),
    "relu": ([(3, 7)], F.relu),
    "reshape": ([(2, 6)], lambda x: x.reshape(3, 4)),
    "residual_layer_norm, nothing dropped": (
        [(2, 3, 5), (2, 3, 5), (5,), (5,)], lambda x, a, gamma, beta: F.layer_norm(x + a, (5,), gamma, beta, 1e-5)),
    "scale": ([(2, 3)], lambda x: -0.7 * x),
    "silu": ([(3, 7)], F.silu),
    "slice": ([(2, 5, 3)], lambda x: x[:, 1:4]),
    "slice, overlapping": ([(5,)], lambda x: x[0:3] * x[2:5]),
    "softmax": ([(2, 3, 5)], lambda x: x.softmax(-1)),
    "softmax, of one": ([(3, 1)], lambda x: x.softmax(-1)),
    "sub": ([(2, 3), (2, 3)], torch.sub),
    "sub, broadcast": ([(3,), (2, 1)], torch.sub),
    "sum": ([(2, 3)], torch.sum),
}


def op(name, shapes, function):
    case = Case(name)
    inputs = [case.normal(*shape) for shape in shapes]
    cotangent = case.normal(*function(*inputs).shape)
    case.keep_all("", {f"input.{i}": x for i, x in enumerate(inputs)} | {"cotangent": cotangent})
    for label, dtype in TYPES.items():
        leaves = [x.to(dtype).requires_grad_() for x in inputs]
        output = function(*leaves)
        output.backward(cotangent.to(dtype))
        case.keep(f"{label}.output", output)
        case.keep_all(f"{label}.gradient.", {str(i): gradient(leaf) for i, leaf in enumerate(leaves)})
    return case.tensors


# Layers: PyTorch's own modules.

PARTS = {"multihead_attn": "cross_attn", "linear1": "feed_forward.linear1", "linear2": "feed_forward.linear2"}
ENCODER_NORMS = {"norm1": "self_attn_norm", "norm2": "feed_forward_norm"}
DECODER_NORMS = {"norm1": "self_attn_norm", "norm2": "cross_attn_norm", "norm3": "feed_forward_norm"}


def by_our_paths(named, is_decoder=False):
    """PyTorch's tensors under our paths: the three projections apart, the norms by what they belong to."""
    ours = {}
    for name, tensor in named:
        norms = DECODER_NORMS if is_decoder or name.startswith("decoder.") else ENCODER_NORMS
        *above, last = name.split(".")
        above = [(PARTS | norms).get(part, part) for part in above]
        if above and above[-1].endswith("norm"):
            last = {"weight": "gamma", "bias": "beta"}[last]
        path = ".".join(above)
        if last.startswith("in_proj_"):
            for part, third in zip("qkv", tensor.chunk(3)):
                ours[f"{path}.{part}_proj.{last.removeprefix('in_proj_')}".lstrip(".")] = third
        else:
            ours[f"{path}.{last}".lstrip(".")] = tensor
    return ours


def fill(module, case):
    """Draws all parameters; biases and gains too, since zeros and ones would hide rules that forget them."""
    with torch.no_grad():
        for _, parameter in module.named_parameters():
            deviation = parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.3
            parameter.copy_(case.normal(*parameter.shape, deviation=deviation))
        for part in module.modules():
            if isinstance(part, nn.LayerNorm):
                part.weight.copy_(1 + case.normal(*part.weight.shape, deviation=0.3))


ACTIVATIONS = {"relu": F.relu, "gelu": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu}
SIZES = {"d_model": 12, "nhead": 2, "dim_feedforward": 20, "dropout": 0.0, "batch_first": True}


def masks(lengths, width):
    """What PyTorch calls masks: true where a key is hidden."""
    return ~counted(lengths, width), ~torch.ones(width, width, dtype=torch.bool).tril()


def layer(name, module, inputs, lengths, run, is_decoder=False):
    case = Case(name)
    fill(module, case)
    inputs = {key: case.normal(*shape) for key, shape in inputs.items()}
    cotangent = case.normal(*next(iter(inputs.values())).shape)
    case.keep_all("", inputs | {"cotangent": cotangent} | {key: torch.tensor(value) for key, value in lengths.items()})
    case.keep_all("parameter.", by_our_paths(module.named_parameters(), is_decoder))
    for label, dtype in TYPES.items():
        module.to(dtype).zero_grad()
        leaves = {key: x.to(dtype).requires_grad_() for key, x in inputs.items()}
        output = run(module, **leaves)
        output.backward(cotangent.to(dtype))
        case.keep(f"{label}.output", output)
        case.keep_all(f"{label}.gradient.", {key: gradient(leaf) for key, leaf in leaves.items()})
        of_parameters = by_our_paths(((key, gradient(p)) for key, p in module.named_parameters()), is_decoder)
        case.keep_all(f"{label}.gradient.", of_parameters)
        module.to(torch.float32)
    return case.tensors


def layers():
    tensors = {}
    x, memory = (3, 5, 12), (3, 7, 12)
    lengths, memory_lengths = [5, 2, 4], [7, 3, 1]
    padding, past = masks(lengths, 5)
    memory_padding, _ = masks(memory_lengths, 7)
    mha = lambda: nn.MultiheadAttention(12, 2, batch_first=True)

    def attend(**options):
        return lambda module, query, key=None, value=None: module(
            query, query if key is None else key, query if value is None else value, need_weights=False, **options)[0]

    cross = {"query": x, "key": memory, "value": memory}
    own = {"query": x}
    tensors |= layer("attention, cross", mha(), cross, {}, attend())
    tensors |= layer("attention, cross, padding", mha(), cross, {"memory_lengths": memory_lengths},
                     attend(key_padding_mask=memory_padding))
    tensors |= layer("attention, self", mha(), own, {}, attend())
    tensors |= layer("attention, self, causal", mha(), own, {}, attend(attn_mask=past))
    tensors |= layer("attention, self, causal, padding", mha(), own, {"lengths": lengths},
                     attend(attn_mask=past, key_padding_mask=padding))

    for norm, activations in {"pre-norm": ["relu", "gelu"], "post-norm": ["relu", "silu"]}.items():
        for activation in activations:
            options = {"activation": ACTIVATIONS[activation], "norm_first": norm == "pre-norm"}
            tensors |= layer(
                f"encoder layer, {norm}, {activation}", nn.TransformerEncoderLayer(**SIZES, **options), {"x": x},
                {"lengths": lengths}, lambda module, x: module(x, src_key_padding_mask=padding))
            tensors |= layer(
                f"decoder layer, {norm}, {activation}", nn.TransformerDecoderLayer(**SIZES, **options),
                {"x": x, "memory": memory}, {"lengths": lengths, "memory_lengths": memory_lengths},
                lambda module, x, memory: module(
                    x, memory, tgt_mask=past, tgt_key_padding_mask=padding, memory_key_padding_mask=memory_padding),
                is_decoder=True)
    return tensors


# The whole model, with two layers on each side.


class Transformer(nn.Module):
    """The paper's model, made of PyTorch's stacks; embeddings and the output layer as the paper has them."""

    def __init__(self, norm, activation, tied, positions, source_vocab=VOCAB):
        super().__init__()
        width, limit = SIZES["d_model"], 9
        self.target_embedding = nn.Embedding(VOCAB, width)
        if tied != "all":
            self.source_embedding = nn.Embedding(source_vocab, width)
        if tied == "none":
            self.output = nn.Parameter(torch.empty(VOCAB, width))
        if positions == "learned":
            self.source_positions, self.target_positions = nn.Embedding(limit, width), nn.Embedding(limit, width)
        options = SIZES | {"activation": ACTIVATIONS[activation], "norm_first": norm == "pre"}
        last = lambda: nn.LayerNorm(width) if norm == "pre" else None
        encoder_layer, decoder_layer = nn.TransformerEncoderLayer(**options), nn.TransformerDecoderLayer(**options)
        self.encoder = nn.TransformerEncoder(encoder_layer, 2, last(), enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder_layer, 2, last())

    def embed(self, table, positions, ids):
        count, width = ids.shape[1], table.weight.shape[1]
        if positions is not None:
            vectors = positions.weight[:count]
        else:
            # §3.5: PE(p, 2i) = sin(p / 10000^(2i/D)), PE(p, 2i + 1) = cos(p / 10000^(2i/D))
            p, pair = torch.arange(count, dtype=torch.float64), torch.arange(0, width, 2, dtype=torch.float64)
            angles = p[:, None] / 10_000 ** (pair / width)
            vectors = torch.stack([angles.sin(), angles.cos()], -1).flatten(1).to(table.weight.dtype)
        return table(ids) * math.sqrt(width) + vectors

    def forward(self, source, source_lengths, target_in, target_lengths):
        source_hidden, _ = masks(source_lengths, source.shape[1])
        target_hidden, future = masks(target_lengths, target_in.shape[1])
        source_table = getattr(self, "source_embedding", self.target_embedding)
        x = self.embed(source_table, getattr(self, "source_positions", None), source)
        memory = self.encoder(x, src_key_padding_mask=source_hidden)
        y = self.embed(self.target_embedding, getattr(self, "target_positions", None), target_in)
        hidden = self.decoder(y, memory, tgt_mask=future, tgt_key_padding_mask=target_hidden,
                              memory_key_padding_mask=source_hidden)
        return F.linear(hidden, getattr(self, "output", self.target_embedding.weight))

    def loss(self, batch):
        logits = self(batch["source"], batch["source_lengths"], batch["target_in"], batch["target_lengths"])
        labels = batch["target_out"].flatten()
        return logits, F.cross_entropy(logits.flatten(0, 1), labels, ignore_index=PAD, label_smoothing=0.1)


def draw_batch(case, source_vocab=VOCAB):
    """Three pairs of random words of different lengths, padded."""
    source_lengths, target_lengths = torch.tensor([6, 2, 4]), torch.tensor([3, 5, 1])
    source = case.integers(3, source_vocab, 3, 6).masked_fill(~counted(source_lengths, 6), PAD)
    words = case.integers(3, VOCAB, 3, 5)
    kept = counted(target_lengths, 5)
    target_in = torch.cat([torch.full((3, 1), BOS), words[:, :-1]], 1).masked_fill(~kept, PAD)
    target_out = words.scatter(1, target_lengths[:, None] - 1, EOS).masked_fill(~kept, PAD)
    return {"source": source, "source_lengths": source_lengths, "target_in": target_in, "target_out": target_out,
            "target_lengths": target_lengths}


MODELS = {
    "pre-norm, all tied, relu": {"norm": "pre", "activation": "relu", "tied": "all", "positions": "sinusoidal"},
    "post-norm, all tied, relu": {"norm": "post", "activation": "relu", "tied": "all", "positions": "sinusoidal"},
    "pre-norm, three tables, gelu": {"norm": "pre", "activation": "gelu", "tied": "none", "positions": "learned"},
    "post-norm, target tied, silu": {
        "norm": "post", "activation": "silu", "tied": "target", "positions": "sinusoidal", "source_vocab": 17},
}


def transformer(name, options):
    case = Case(name)
    model = Transformer(**options)
    fill(model, case)
    batch = draw_batch(case, options.get("source_vocab", VOCAB))
    case.keep_all("", batch)
    case.keep_all("parameter.", by_our_paths(model.named_parameters()))
    for label, dtype in TYPES.items():
        model.to(dtype).zero_grad()
        logits, loss = model.loss(batch)
        loss.backward()
        case.keep(f"{label}.logits", logits)
        case.keep(f"{label}.loss", loss)
        of_parameters = by_our_paths((key, gradient(p)) for key, p in model.named_parameters())
        case.keep_all(f"{label}.gradient.", of_parameters)
        model.to(torch.float32)
    return case.tensors


# Fifty steps of Adam.

STEPS, KEPT_STEPS, BATCHES = 50, (1, 50), 4


def rate(step):
    """`Schedule::InverseSqrt { peak: 0.01, warmup: 10 }`"""
    return 0.01 * min(step / 10, math.sqrt(10 / step))


def trajectory(name, optimiser):
    case = Case(name)
    model = Transformer(**MODELS["pre-norm, all tied, relu"])
    fill(model, case)
    case.keep_all("parameter.", by_our_paths(model.named_parameters()))
    model.to(torch.float64)
    batches = [draw_batch(case) for _ in range(BATCHES)]
    for i, batch in enumerate(batches):
        case.keep_all(f"batch.{i}.", batch)
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    adam = optimiser(groups, lr=0.0, betas=(0.9, 0.98), eps=1e-9, foreach=False, fused=False)
    losses, norms = [], []
    for step in range(1, STEPS + 1):
        adam.zero_grad()
        _, loss = model.loss(batches[(step - 1) % BATCHES])
        loss.backward()
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p.grad) for p in parameters]))
        for p in parameters:
            p.grad *= torch.clamp(1 / norm, max=1.0)
        for group in adam.param_groups:
            group["lr"] = rate(step)
        adam.step()
        losses.append(loss.item())
        norms.append(norm.item())
        if step in KEPT_STEPS:
            after = by_our_paths(model.named_parameters())
            after = {path: p for path, p in after.items() if not path.endswith("k_proj.bias")}
            case.keep_all(f"f64.after {step}.", after)
    case.keep("f64.losses", torch.tensor(losses, dtype=torch.float64))
    case.keep("f64.norms", torch.tensor(norms, dtype=torch.float64))
    return case.tensors


def write(name, tensors):
    # One entry: several would come in another order at every run.
    versions = (f"Python {platform.python_version()}, torch {torch.__version__}, numpy {numpy.__version__}, "
                f"safetensors {safetensors.__version__}")
    path = Path(__file__).with_name(f"{name}.safetensors")
    save_file(tensors, path, {"versions": versions})
    path.chmod(0o644)
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


def merged(parts):
    return {key: tensor for part in parts for key, tensor in part.items()}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write("ops", merged(op(name, *definition) for name, definition in OPS.items()))
    write("layers", layers())
    write("transformer", merged(transformer(name, options) for name, options in MODELS.items()))
    write("adam", trajectory("decoupled decay", torch.optim.AdamW) | trajectory("L2 decay", torch.optim.Adam))


if __name__ == "__main__":
    main()
