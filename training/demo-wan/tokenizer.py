"""The tokenizer: a Unigram model of at most 512 pieces in UMT5's layout (metaspace, byte fallback). The words of our
captions are its pieces; letters and common endings are too, so that other words are split and not lost.

    python tokenizer.py tokenizer.json
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from captions import caption
from world import sample_scenes

PIECES = 512
PAD, END, UNKNOWN = 0, 1, 2
MAX_TOKENS = 32
"""Text rows of a training caption; longer ones are not used."""

# What words that the captions do not have are made of.
ENDINGS = ("ing", "ed", "er", "ly", "es", "th", "sh", "ch", "ou", "ea", "ee", "oo", "an", "in", "on", "en", "at", "re", "un")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?:;'\"()-/&"
_LETTER_SCORE, _ENDING_SCORE = -14.0, -12.0


def train(captions: int = 100_000) -> Tokenizer:
    """Every word of the captions is a piece, scored by the logarithm of its share, so that it is never split."""
    scenes, rng = sample_scenes(captions, seed=11), np.random.default_rng(12)
    words: Counter[str] = Counter()
    for i in range(captions):
        words.update(re.findall(r"▁?[\w-]+|[.,]", "▁" + caption(scenes, i, rng).replace(" ", " ▁")))
    total = sum(words.values())
    pieces = {word: math.log(count / total) for word, count in words.most_common()}
    pieces.setdefault("▁", _LETTER_SCORE)
    for group, score in ((ENDINGS, _ENDING_SCORE), (LETTERS, _LETTER_SCORE)):
        for piece in group:
            pieces.setdefault(piece, score)
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary = [*special, *((f"<0x{b:02X}>", 0.0) for b in range(256)), *pieces.items()]
    assert len(vocabulary) <= PIECES, len(vocabulary)
    out = Tokenizer(models.Unigram(vocabulary, unk_id=UNKNOWN, byte_fallback=True))
    out.add_special_tokens(["<pad>", "</s>", "<unk>"])
    out.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    metaspace = {"replacement": "▁", "prepend_scheme": "always", "split": True}
    out.pre_tokenizer = pre_tokenizers.Metaspace(**metaspace)
    out.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", END)]
    )
    out.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(**metaspace)])
    return out


def encode(tokenizer: Tokenizer, texts: list[str], rows: int = MAX_TOKENS) -> np.ndarray:
    """Ids `[n, rows]`, int16, zeros behind the end. An empty text is the end alone, as the pipeline has it."""
    out = np.zeros((len(texts), rows), dtype=np.int16)
    for i, encoded in enumerate(tokenizer.encode_batch(texts)):
        ids = encoded.ids
        if len(ids) > rows:
            ids = [*ids[: rows - 1], END]
        out[i, : len(ids)] = ids
    return out


def main(path: str) -> None:
    tokenizer = train()
    Path(path).write_text(tokenizer.to_str(pretty=True))
    scenes, rng = sample_scenes(20_000, seed=13), np.random.default_rng(14)
    lengths = [len(e.ids) for e in tokenizer.encode_batch([caption(scenes, i, rng) for i in range(len(scenes))])]
    print(f"{tokenizer.get_vocab_size()} pieces; tokens of a caption: median {np.median(lengths)}, 99 % {np.percentile(lengths, 99)}, most {max(lengths)}")


if __name__ == "__main__":
    main(sys.argv[1])
