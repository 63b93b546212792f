"""Samples of a run in PyTorch: clips of prompts, or the latents that our other pipeline must equal.

    python sample.py --out run --prompt "a red circle moves left on a black background" --seed 7 latents.safetensors
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

import tokenizer as tokenizer_code
from autoencoder import Autoencoder, AutoencoderConfig
from encode_clips import load_autoencoder
from files import contact_sheet, load_weights, save_weights, write_png
from lora import merge
from sampler import few_steps, guided, sample
from text_encoder import TextConfig, TextEncoder, row_bias
from transformer import Transformer, TransformerConfig


def load_exported(folder: Path):
    """Transformer, text encoder, autoencoder, means and deviations of an exported folder, as f32."""
    transformer, text, vae = Transformer(TransformerConfig()), TextEncoder(TextConfig()), Autoencoder(AutoencoderConfig())
    files = {
        vae: "vae/diffusion_pytorch_model",
        transformer: "transformer/diffusion_pytorch_model",
        text: "text_encoder/model",
    }
    for module, name in files.items():
        weights = load_weights(folder / f"{name}.safetensors")
        module.load_state_dict({k: v.float() for k, v in weights.items()})
        module.eval()
    config = json.loads((folder / "vae" / "config.json").read_text())
    return transformer, text, vae, torch.tensor(config["latents_mean"]), torch.tensor(config["latents_std"])


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path, help="a .safetensors file of latents and pixels, or a .png sheet")
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--model", type=Path, help="an exported folder in place of a run: its rounded weights, in f32")
    parser.add_argument("--lora", type=Path, help="the student's file: its own steps, without guidance")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--latent-frames", type=int, default=5)
    parser.add_argument("--rows", type=int, default=tokenizer_code.MAX_TOKENS)
    parser.add_argument("--tokenizer", default="tokenizer.json")
    args = parser.parse_args()
    device = torch.device("cpu")
    if args.model:
        transformer, text, vae, mean, std = load_exported(args.model)
    else:
        transformer, text = Transformer(TransformerConfig()).eval(), TextEncoder(TextConfig()).eval()
        vae, mean, std = load_autoencoder(args.out / "vae.safetensors", device)
        transformer.load_state_dict(load_weights(args.out / "transformer.safetensors"))
        text.load_state_dict(load_weights(args.out / "text.safetensors"))
    if args.lora:
        merge(transformer, args.lora)
        args.steps, args.guidance = 4, 1.0
    ids = torch.as_tensor(tokenizer_code.encode(Tokenizer.from_file(args.tokenizer), [args.prompt, ""])).long()
    hidden = text(ids)
    bias = row_bias(ids, torch.full((2,), float(args.rows)))
    noise = torch.randn(1, 8, args.latent_frames, 8, 8, generator=torch.Generator().manual_seed(args.seed))
    velocity = guided(transformer, (hidden[:1], bias[:1]), (hidden[1:], bias[1:]), args.guidance)
    z = few_steps(velocity, noise) if args.lora else sample(velocity, noise, args.steps)
    shape = (1, -1, 1, 1, 1)
    clip = vae.decode(z * std.view(shape) + mean.view(shape)).clamp(-1, 1)
    if args.file.suffix == ".png":
        write_png(args.file, contact_sheet(clip))
    else:
        rows = torch.zeros(1, args.rows, hidden.shape[-1])
        rows[:, : hidden.shape[1]] = hidden[:1]
        first = transformer(noise, torch.tensor([999.0]), hidden[:1], bias[:1])
        tensors = {"latents": z, "text": rows, "velocity": first, "last_frame": clip[0, :, -1]}
        settings = {"prompt": args.prompt, "seed": args.seed, "steps": args.steps, "guidance": args.guidance}
        save_weights(args.file, tensors, {"settings": settings})


if __name__ == "__main__":
    main()
