"""Stage 2: the training set of the transformer: latents of drawn clips, with captions as token ids, as one file.

    python encode_clips.py --out run --clips 262144
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

import tokenizer as tokenizer_code
from autoencoder import Autoencoder, AutoencoderConfig
from captions import caption
from files import Log, load_weights, read_metadata
from train_autoencoder import on, prepare_for_gpu
from world import draw_clips, sample_scenes

SEED = 300
PER_CLIP = 4
"""Captions of each clip; one of them is drawn at every step."""


def captions_of(job: tuple[int, int, int, str]) -> np.ndarray:
    clips, first, last, path = job
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    scenes, rng = sample_scenes(clips, SEED), np.random.default_rng(SEED + 1 + first)
    texts = [caption(scenes, i, rng) for i in range(first, last) for _ in range(PER_CLIP)]
    return tokenizer_code.encode(Tokenizer.from_file(path), texts).reshape(last - first, PER_CLIP, -1)


def encode_captions(clips: int, workers: int, path: str) -> np.ndarray:
    edges = np.linspace(0, clips, workers + 1).astype(int)
    jobs = [(clips, int(a), int(b), path) for a, b in zip(edges, edges[1:])]
    if workers == 1:
        return captions_of(jobs[0])
    with ProcessPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(captions_of, jobs)))


@torch.no_grad()
def encode_clips(model: Autoencoder, clips: int, mean, std, autocast, batch: int) -> torch.Tensor:
    device = next(model.parameters()).device
    scenes = on(sample_scenes(clips, SEED), device)
    out = torch.empty(clips, model.config.z_dim, 5, 8, 8, dtype=torch.float16, device=device)
    shape = (1, -1, 1, 1, 1)
    for i in range(0, clips, batch):
        with autocast:
            z = model.encode(draw_clips(scenes.part(slice(i, i + batch)), 17, device))[0].float()
        out[i : i + batch] = ((z - mean.view(shape)) / std.view(shape)).half()
    return out


def load_autoencoder(path: Path, device: torch.device) -> tuple[Autoencoder, torch.Tensor, torch.Tensor]:
    notes = read_metadata(path)
    config = {k: tuple(v) if isinstance(v, list) else v for k, v in notes["config"].items()}
    model = Autoencoder(AutoencoderConfig(**config)).to(device).eval()
    model.load_state_dict(load_weights(path))
    numbers = lambda name: torch.tensor(notes[name], device=device)
    return model, numbers("latents_mean"), numbers("latents_std")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--clips", type=int, default=262_144)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--tokenizer", default="tokenizer.json")
    parser.add_argument("--captions-only", action="store_true", help="needs no autoencoder: may run beside stage 1")
    args = parser.parse_args()
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    log = Log(args.out / "log.jsonl")
    ids_path = args.out / "captions.npy"
    if not ids_path.exists() or args.captions_only:
        ids = encode_captions(args.clips, args.workers, args.tokenizer)
        np.save(ids_path.with_suffix(".part.npy"), ids)
        os.replace(ids_path.with_suffix(".part.npy"), ids_path)
        log.write(stage="encode", captions=int(ids.shape[0] * ids.shape[1]), most_tokens=int((ids != 0).sum(-1).max()), seconds=time.monotonic() - start)
    if args.captions_only:
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    model, mean, std = load_autoencoder(args.out / "vae.safetensors", device)
    if device.type == "cuda":
        prepare_for_gpu(model, log)
    latents = encode_clips(model, args.clips, mean, std, autocast, args.batch)
    x = latents.float()
    spread = x.std((0, 2, 3, 4))
    # Stage 1 measured them on other clips; a fault of the normalisation shows here and not in the pictures.
    off = (x.mean((0, 2, 3, 4)).abs().max().item(), (spread - 1).abs().max().item())
    log.write(stage="encode", clips=args.clips, mean_off=off[0], std_off=off[1], seconds=time.monotonic() - start)
    if args.clips > 4096 and (off[0] > 0.03 or off[1] > 0.03):
        raise SystemExit(f"latents are not normalised: {off}")
    if not torch.isfinite(x).all():
        raise SystemExit("latents are not finite")
    torch.save(latents.cpu(), args.out / "latents.part.pt")
    os.replace(args.out / "latents.part.pt", args.out / "latents.pt")


if __name__ == "__main__":
    main()
