"""Prints what the Python package `tokenizers` makes of the lines of standard input: a JSON list of ids for each.

Usage: python ids.py tokenizer.json < lines
"""

import json
import sys

from tokenizers import Tokenizer


def load(path):
    tokenizer = Tokenizer.from_file(path)
    # A line that spells out "</s>" is text. The file cannot say so.
    tokenizer.encode_special_tokens = True
    return tokenizer


def main():
    tokenizer = load(sys.argv[1])
    # Only LF ends a line.
    for line in sys.stdin.buffer.read().decode("utf-8").removesuffix("\n").split("\n"):
        print(json.dumps(tokenizer.encode(line, add_special_tokens=False).ids))


if __name__ == "__main__":
    main()
