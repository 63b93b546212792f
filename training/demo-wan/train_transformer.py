"""Stage 3: trains the transformer and the text encoder together on the encoded set, by the clock.

    python train_transformer.py --minutes 15 --out run
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from tokenizers import Tokenizer

import tokenizer as tokenizer_code
from analyser import read_clips, scores
from captions import caption
from encode_clips import load_autoencoder
from files import Average, Log, adamw, contact_sheet, load_weights, save_weights, write_png
from sampler import few_steps, guided, sample, shifted
from text_encoder import TextConfig, TextEncoder, row_bias
from transformer import Transformer, TransformerConfig
from world import Scenes, sample_scenes

EMPTY = 0.1
"""Share of captions that are left out, for guidance."""
ROWS = (32, 512)
"""Text rows that the pipeline may pad to."""


def batch_of(latents: torch.Tensor, ids: torch.Tensor, size: int, overfit: int):
    """Noisy latents, timesteps, target, ids and row counts."""
    device = latents.device
    count = overfit or latents.shape[0]
    rows = torch.randint(count, (size,), device=device)
    x = latents[rows].float()
    text = ids[rows, torch.randint(ids.shape[1], (size,), device=device)].long()
    empty = torch.zeros_like(text)
    empty[:, 0] = tokenizer_code.END
    text = torch.where(torch.rand(size, 1, device=device) < EMPTY, empty, text)
    s = shifted(torch.rand(size, device=device))
    noise = torch.randn_like(x)
    at = s.view(-1, 1, 1, 1, 1)
    low, high = (math.log(r) for r in ROWS)
    many = torch.exp(low + (high - low) * torch.rand(size, device=device))
    padded = torch.where(torch.rand(size, device=device) < 0.5, torch.full_like(many, float(ROWS[0])), many)
    return (1 - at) * x + at * noise, 1000 * s, noise - x, text, padded


class Team:
    """The processes that train together, one per GPU: `RANK` and `WORLD_SIZE` in the environment, one without."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        if self.size > 1:
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(self.rank)

    def average(self, tensors: list[torch.Tensor]) -> None:
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors)]
        if hasattr(torch, "_foreach_copy_"):
            torch._foreach_copy_(tensors, parts)
        else:
            for tensor, part in zip(tensors, parts):
                tensor.copy_(part)

    def agree(self, values: list[float], device: torch.device) -> list[float]:
        """What the first of them says."""
        if self.size == 1:
            return values
        said = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(said, 0)
        return said.tolist()


class Clock:
    """How far the run is, by time. All processes must take the same learning rate at the same step, so they agree on a
    line through time every few steps and follow it in between."""

    def __init__(self, seconds: float, team: Team, device: torch.device, max_steps: int | None) -> None:
        self.seconds, self.team, self.device, self.max_steps = seconds, team, device, max_steps
        self.begin = time.monotonic()
        self.at, self.rate, self.since = 0.0, 0.0, 0

    def progress(self, step: int) -> float:
        if self.max_steps is not None:
            return step / self.max_steps
        if step in (5, 20) or step % 50 == 0:
            now = (time.monotonic() - self.begin) / self.seconds
            rate = (now - self.at) / (step - self.since) if step > self.since else 0.0
            self.at, self.rate = self.team.agree([now, rate], self.device)
            self.since = step
        return self.at + self.rate * (step - self.since)


class Held:
    """Held-out captions with the scenes that they describe, always the same."""

    def __init__(self, count: int, tokenizer_path: str, device: torch.device) -> None:
        self.scenes: Scenes = sample_scenes(count, seed=400, held_out=True, two=0)
        rng = np.random.default_rng(401)
        self.captions = [caption(self.scenes, i, rng, complete=True) for i in range(count)]
        ids = tokenizer_code.encode(Tokenizer.from_file(tokenizer_path), [*self.captions, ""])
        self.ids = torch.as_tensor(ids, device=device).long()
        generator = torch.Generator().manual_seed(402)
        self.noise = torch.randn(count, 8, 5, 8, 8, generator=generator).to(device)

    @torch.no_grad()
    def clips(self, transformer, text, vae, mean, std, autocast, steps: int = 20, guidance: float = 3.0, rows: int = 32, few: bool = False):
        """Pixels of all captions. `few`: a student's own steps, without guidance."""
        count = self.noise.shape[0]
        with autocast:
            hidden = text(self.ids)
            bias = row_bias(self.ids, torch.full((count + 1,), float(rows), device=hidden.device))
            positive = (hidden[:-1], bias[:-1])
            negative = (hidden[-1:].expand(count, -1, -1), bias[-1:].expand(count, -1, -1, -1))
            velocity = guided(transformer, positive, negative, 1 if few else guidance)
            z = few_steps(velocity, self.noise) if few else sample(velocity, self.noise, steps)
            shape = (1, -1, 1, 1, 1)
            raw = z * std.view(shape) + mean.view(shape)
            return torch.cat([vae.decode(part).float() for part in raw.split(64)]).clamp(-1, 1)

    def evaluate(self, *parts, **settings) -> tuple[dict, torch.Tensor]:
        clips = self.clips(*parts, **settings)
        return scores(read_clips(clips), self.scenes), clips


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--held", type=int, default=256)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between evaluations")
    parser.add_argument("--decay", type=float, default=0.999)
    parser.add_argument("--tokenizer", default="tokenizer.json")
    parser.add_argument("--progress", type=float, default=0.0, help="where in the schedule to begin, after a restart")
    parser.add_argument("--resume", action="store_true", help="begin with the weights in --out")
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--overfit", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    start = time.monotonic()
    team = Team()
    is_first = team.rank == 0
    log = Log(args.out / ("log.jsonl" if is_first else f"rank{team.rank}.jsonl"))
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    latents = torch.load(args.out / "latents.pt").to(device)
    ids = torch.as_tensor(np.load(args.out / "captions.npy"), device=device)
    vae, mean, std = load_autoencoder(args.out / "vae.safetensors", device)
    if device.type == "cuda":
        vae.layout.multiple = 8
    held = Held(args.held, args.tokenizer, device)
    transformer, text = Transformer(TransformerConfig()).to(device), TextEncoder(TextConfig()).to(device)
    if args.resume:
        transformer.load_state_dict(load_weights(args.out / "transformer.safetensors"))
        text.load_state_dict(load_weights(args.out / "text.safetensors"))
    both = [transformer, text]
    optimizer = adamw(both, args.lr, (0.9, 0.98), 0.01)
    average = Average(both, args.decay)
    parameters = [p for module in both for p in module.parameters()]
    # The weights are the same in every process, what they are shown is not.
    torch.manual_seed(args.seed + 1000 * (team.rank + 1))
    log.write(stage="transformer", parameters=sum(p.numel() for p in transformer.parameters()), text_parameters=sum(p.numel() for p in text.parameters()))

    def loss_at(size: int) -> torch.Tensor:
        x, t, target, text_ids, rows = batch_of(latents, ids, size, args.overfit)
        with autocast:
            out = transformer(x, t, text(text_ids), row_bias(text_ids, rows))
        return (out - target).square().mean()

    if args.compile:
        try:
            for block in transformer.blocks:
                block.compile()
            loss_at(args.batch).backward()
            log.write(stage="transformer", compile_seconds=time.monotonic() - start)
        except Exception as error:  # the eager form is right, only slower
            log.write(stage="transformer", compile=str(error)[:300])
            for block in transformer.blocks:
                block._compiled_call_impl = None

    def finish(step: int, name: str = "") -> dict:
        average.swap()
        # Other batch sizes would be compiled too, for a few passes.
        compiled = [getattr(block, "_compiled_call_impl", None) for block in transformer.blocks]
        for block in transformer.blocks:
            block._compiled_call_impl = None
        read, clips = held.evaluate(transformer, text, vae, mean, std, autocast)
        notes = {"steps": step, "eval": read}
        save_weights(args.out / f"transformer{name}.safetensors", transformer.state_dict(), notes)
        save_weights(args.out / f"text{name}.safetensors", text.state_dict(), notes)
        write_png(args.out / "sheet.png", contact_sheet(clips[:16]))
        average.swap()
        for block, call in zip(transformer.blocks, compiled):
            block._compiled_call_impl = call
        return read

    begin = seen = time.monotonic()
    clock = Clock(args.minutes * 60 - (begin - start), team, device, args.max_steps)
    step = 0
    losses: list[torch.Tensor] = []
    while (done := clock.progress(step)) < 1:
        progress = args.progress + (1 - args.progress) * done
        falling = max(0.0, (progress - 0.4) / 0.6)
        factor = min(1.0, (step + 1) / 200) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * falling)))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * factor
        loss = loss_at(args.batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        team.average([p.grad for p in parameters])
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update()
        losses.append(loss.detach())
        step += 1
        if step in (1, 20, 100) or step % 500 == 0 or step == args.max_steps:
            recent = float(torch.stack(losses[-100:]).mean())
            losses = losses[-100:]
            log.write(stage="transformer", step=step, seconds=time.monotonic() - begin, loss=recent)
            if recent != recent:
                raise SystemExit("the loss is not a number")
        if is_first and time.monotonic() - seen > args.every:
            seen = time.monotonic()
            log.write(stage="transformer", step=step, seconds=seen - begin, **{f"eval_{k}": v for k, v in finish(step).items()})
    if not is_first:
        return
    read = finish(step)
    log.write(stage="transformer", steps=step, seconds=time.monotonic() - start, **{f"eval_{k}": v for k, v in read.items()})
    (args.out / "transformer.done").write_text("done\n")


if __name__ == "__main__":
    main()
