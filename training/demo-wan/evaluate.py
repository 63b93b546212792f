"""Held-out captions under several settings: what the analyser reads, one line each.

    python evaluate.py --out run --held 512
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from encode_clips import load_autoencoder
from files import Log, load_weights
from text_encoder import TextConfig, TextEncoder
from train_transformer import Held
from transformer import Transformer, TransformerConfig

SETTINGS = (
    *({"guidance": g} for g in (3.0, 1.0, 2.0, 4.0, 6.0)),
    *({"steps": s} for s in (4, 8, 12, 40)),
    {"rows": 512},
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--held", type=int, default=512)
    parser.add_argument("--tokenizer", default="tokenizer.json")
    args = parser.parse_args()
    log = Log(args.out / "log.jsonl")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vae, mean, std = load_autoencoder(args.out / "vae.safetensors", device)
    transformer, text = Transformer(TransformerConfig()).to(device).eval(), TextEncoder(TextConfig()).to(device).eval()
    transformer.load_state_dict(load_weights(args.out / "transformer.safetensors"))
    text.load_state_dict(load_weights(args.out / "text.safetensors"))
    held = Held(args.held, args.tokenizer, device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    for settings in SETTINGS:
        read, _ = held.evaluate(transformer, text, vae, mean, std, autocast, **settings)
        log.write(stage="evaluate", **settings, **{f"eval_{k}": v for k, v in read.items()})


if __name__ == "__main__":
    main()
