"""A contact sheet of held-out captions and, on the screen, what the analyser read: one row per clip, every second frame.

    python contact_sheet.py --model ../../packages/demo-wan/model --clips 12 ../../docs/demo-model/held-out.png
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

import torch

from analyser import read_clips
from files import contact_sheet, write_png
from sample import load_exported
from train_transformer import Held
from world import BACKGROUNDS, COLORS, MOTIONS, SHAPES


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--tokenizer", default="tokenizer.json")
    args = parser.parse_args()
    held = Held(args.clips, args.tokenizer, torch.device("cpu"))
    transformer, text, vae, mean, std = load_exported(args.model)
    clips = held.clips(transformer, text, vae, mean, std, contextlib.nullcontext())
    write_png(args.file, contact_sheet(clips))
    read = read_clips(clips)
    for i, caption in enumerate(held.captions):
        seen = [list(t)[int(read[k][i])] for k, t in (("color", COLORS), ("shape", SHAPES), ("motion", MOTIONS), ("background", BACKGROUNDS))]
        print(json.dumps({"caption": caption, "read": seen}))


if __name__ == "__main__":
    main()
