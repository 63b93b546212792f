"""A picture of prompts under several ways: for each prompt one row per way, every seventh frame of 77.

    python horizon_strip.py --model ../../packages/demo-wan/model --patterns run/patterns.json --prompts 1,7,9,13 \\
      --ways dense "rotating w2 f0" -- ../../docs/images/horizon.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from files import write_png
from horizon import Bench


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--lora", type=Path)
    parser.add_argument("--patterns", type=Path, required=True)
    parser.add_argument("--prompts", required=True, help="numbers in the file, from 0")
    parser.add_argument("--ways", nargs="+", required=True)
    parser.add_argument("--factor", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--every", type=int, default=7)
    parser.add_argument("--tokenizer", default="tokenizer.json")
    args = parser.parse_args()
    given = json.loads(args.patterns.read_text())
    numbers = [int(n) for n in args.prompts.split(",")]
    prompts = [given["prompts"][n] for n in numbers]
    bench = Bench(args.model, args.lora, prompts, args.tokenizer, torch.device("cpu"), numbers)
    clips = []
    for name in args.ways:
        entry = next(e for e in given["entries"] if e["name"] == name and e["factor"] == args.factor)
        clips.append(bench.clips(entry, args.steps, 1.0)[:, :: args.every])
    rows = torch.stack(clips, 1).permute(0, 1, 3, 2, 4, 5)
    image = rows.reshape(-1, rows.shape[3] * 64, 3).numpy()
    # One white line between prompts.
    height = image.shape[0] // len(numbers)
    parts = [np.concatenate([image[i * height : (i + 1) * height], np.full((3, image.shape[1], 3), 255, np.uint8)]) for i in range(len(numbers))]
    write_png(args.file, np.concatenate(parts)[:-3])
    print(*prompts, sep="\n")


if __name__ == "__main__":
    main()
