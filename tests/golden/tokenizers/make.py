"""Writes two tokenizers that Gradus learns, and cases.json: what the Python package `tokenizers` makes of lines with them.

Run it where Python can import tokenizers, with the program's path: python make.py target/release/gradus

The lines are ours and come from no corpus; they are drawn with a fixed seed.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tokenizers

from ids import load

HERE = Path(__file__).parent

WORDS = (
    "the a one two small large red green old young dog cats house houses river bridge garden teacher singing sings walks "
    "walked under behind near without its isn't we'll Straße Häuser größer Übung Fähre être élève garçon naïve Zoë "
    "T-shirt 1,000 3.5 2016/17 50 % (old) \"new\" «vieux» – …"
).split()

PIECES = [
    " ", "  ", "\u00a0", "\u3000", "\u2028", "\t", "\r", "\u0000", "\u00ad", "\u200b", "\ufeff", "\u200e", "\u2060", "▁",
    "▁▁", "</s>", "<s>", "<pad>", "<unk>", "A\u0308", "\u212b", "\u0130\u0327", "İ", "ΟΔΟΣ", "ﬁ", "½", "Ｆｕｌｌ", "한국어",
    "ᄒ\u1161\u11ab", "漢字", "日本語", "слово", "🙂", "👩\u200d👩\u200d👧", "e\u0301\u0323", "--", "...", "?!", "$5", "#1", "@home",
    "a*b=c^2", "{x|y}", "\\", "`z`", "_w", "don't", "ß", "ẞ", "K", "the", "House", "ǅ", "\u0345", "1", "2", "٣",
]


def sentences(draw, count):
    return [" ".join(draw.choice(WORDS) for _ in range(draw.randrange(2, 9))).capitalize() + "." for _ in range(count)]


def odd_lines(draw, count):
    return ["".join(draw.choice(PIECES) for _ in range(draw.randrange(0, 12))) for _ in range(count)]


def learn(gradus, text, options, out):
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "text.tsv"
        pairs.write_text("".join(f"{line}\t{line}\n" for line in text), encoding="utf-8")
        files = ["--tsv", pairs, "--valid-tsv", pairs]
        subprocess.run(
            [gradus, "train", *files, "--out", Path(folder) / "run", "--steps", "1", "--no-audit", *options],
            check=True, capture_output=True,
        )
        shutil.copy(Path(folder) / "run/tokenizer.json", out)


def main():
    gradus = Path(sys.argv[1]).resolve()
    draw = random.Random(1789)
    text = sentences(draw, 150)
    lines = text + sentences(draw, 50) + odd_lines(draw, 150)
    kinds = {
        "bpe": ["--vocab-size", "220", "--lowercase"],
        "unigram": ["--vocab-size", "220", "--subwords", "unigram", "--unicode", "nfkc"],
    }
    ids = {}
    for kind, options in kinds.items():
        path = HERE / f"{kind}.json"
        learn(gradus, text, options, path)
        ids[kind] = [encoding.ids for encoding in load(str(path)).encode_batch(lines, add_special_tokens=False)]
    cases = {"tokenizers": tokenizers.__version__, "text": len(text), "lines": lines, "ids": ids}
    (HERE / "cases.json").write_text(json.dumps(cases) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
