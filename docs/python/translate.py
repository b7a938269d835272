"""A Gradus model in PyTorch: reads what `gradus export` writes, and translates standard input greedily, line by line.

    gradus export --model runs/en-de --out exported
    python translate.py exported < text

Needs torch, safetensors and tokenizers. Prints what `gradus translate --beam 1` prints.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

ACTIVATIONS = {"relu": F.relu, "gelu": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu}


def read_tokenizer(path):
    tokenizer = Tokenizer.from_file(str(path))
    # A line that spells out "</s>" is text. The file cannot say so.
    tokenizer.encode_special_tokens = True
    return tokenizer


class Model:
    def __init__(self, folder):
        folder = Path(folder)
        self.weights = load_file(folder / "model.safetensors")
        self.config = json.loads((folder / "config.json").read_text())
        self.model = self.config["model"]
        target = folder / "tokenizer.target.json"
        self.source_tokenizer = read_tokenizer(folder / "tokenizer.json")
        self.target_tokenizer = read_tokenizer(target) if target.exists() else self.source_tokenizer

    def linear(self, x, path):
        return F.linear(x, self.weights[f"{path}.weight"], self.weights[f"{path}.bias"])

    def norm(self, x, path):
        gamma, beta = self.weights[f"{path}.gamma"], self.weights[f"{path}.beta"]
        return F.layer_norm(x, gamma.shape, gamma, beta, self.model["norm_epsilon"])

    def attention(self, query, memory, path, causal=False):
        def heads(x, name):
            return self.linear(x, f"{path}.{name}").unflatten(-1, (self.model["heads"], -1)).transpose(-2, -3)

        q, k, v = heads(query, "q_proj"), heads(memory, "k_proj"), heads(memory, "v_proj")
        context = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.linear(context.transpose(-2, -3).flatten(-2), f"{path}.out_proj")

    def feed_forward(self, x, path):
        inner = ACTIVATIONS[self.model["activation"]](self.linear(x, f"{path}.linear1"))
        return self.linear(inner, f"{path}.linear2")

    def around(self, x, norm, sublayer):
        if self.model["norm"] == "pre":
            return x + sublayer(self.norm(x, norm))
        return self.norm(x + sublayer(x), norm)

    def stack(self, x, side, memory=None):
        for i in range(self.model[f"{side}_layers"]):
            path = f"{side}.layers.{i}"
            causal = memory is not None
            x = self.around(x, f"{path}.self_attn_norm", lambda x: self.attention(x, x, f"{path}.self_attn", causal))
            if memory is not None:
                cross = lambda x: self.attention(x, memory, f"{path}.cross_attn")
                x = self.around(x, f"{path}.cross_attn_norm", cross)
            x = self.around(x, f"{path}.feed_forward_norm", lambda x: self.feed_forward(x, f"{path}.feed_forward"))
        return self.norm(x, f"{side}.norm") if self.model["norm"] == "pre" else x

    def embed(self, ids, side):
        d_model = self.model["d_model"]
        table = self.weights.get(f"{side}_embedding.weight", self.weights["target_embedding.weight"])
        words = math.sqrt(d_model) * table[ids]
        if self.model["positions"] == "learned":
            return words + self.weights[f"{side}_positions.weight"][: ids.shape[-1]]
        waves = torch.arange(ids.shape[-1])[:, None] / 10000 ** (torch.arange(0, d_model, 2) / d_model)
        return words + torch.stack([waves.sin(), waves.cos()], -1).flatten(-2)

    def logits(self, source, target):
        """Scores of every next token, [T, V], for one source [S] and the target so far [T]."""
        memory = self.stack(self.embed(source, "source"), "encoder")
        hidden = self.stack(self.embed(target, "target"), "decoder", memory)
        return F.linear(hidden, self.weights.get("output", self.weights["target_embedding.weight"]))

    @torch.no_grad()
    def translate(self, text):
        if not text.strip():
            return ""
        bos, eos, pad = (self.config[name] for name in ("bos", "eos", "pad"))
        source = torch.tensor(self.source_tokenizer.encode(text, add_special_tokens=False).ids + [eos])
        target = [bos]
        for _ in range(2 * len(source) + 9):
            scores = self.logits(source, torch.tensor(target))[-1]
            scores[[bos, pad]] = -math.inf
            target.append(int(scores.argmax()))
            if target[-1] == eos:
                break
        return self.target_tokenizer.decode(target)


if __name__ == "__main__":
    model = Model(sys.argv[1])
    for line in sys.stdin:
        print(model.translate(line.rstrip("\n")))
