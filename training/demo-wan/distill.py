"""Stage 5: a student of four steps without guidance, from the exported model, by the clock. It needs no clips: prompts and noise
are enough.

    python distill.py --model ../../packages/demo-wan/model --rank 11 --minutes 5 --out run/student

From noise the teacher is integrated, guided, from each of the student's noise levels to the next; the student learns to get there
in one straight step. First from where the teacher comes by, then more and more from where the student itself went, so that it learns to go
on from its own errors.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch

import tokenizer as tokenizer_code
from encode_clips import encode_captions
from files import Average, Log, adamw, contact_sheet, load_weights, save_weights, write_png
from lora import Adapter
from sample import load_exported
from sampler import FEW_LEVELS, TRAIN_STEPS, few_sigmas, guided, integrate, shifted
from text_encoder import row_bias
from train_transformer import ROWS, Clock, Held, Team
from transformer import Transformer, TransformerConfig

GUIDANCE = 3.0
TEACHER_STEPS = 5
"""From one of the student's levels to the next: together the twenty of the teacher."""
LEAST_LEVEL = 1 / TRAIN_STEPS
EMPTY = 0.02
"""Share of empty captions: there the teacher is not guided."""
OWN = 0.8
"""Share of the trajectories that follow the student, from the middle of the run on."""
REUSE = 6
"""How often a pair of a place and where to go is shown on average."""


def segments(steps: int) -> list[np.ndarray]:
    """Noise levels of the teacher between those of the student, ends included."""
    ends = [*FEW_LEVELS, LEAST_LEVEL]
    out = []
    for k, (high, low) in enumerate(zip(ends, ends[1:])):
        is_last = k == len(FEW_LEVELS) - 1
        levels = shifted(np.linspace(high, low, steps + 1))
        if k == 0:
            # At sigma 1 the logarithm of the signal is infinite.
            levels[0] -= 1e-6
        if is_last:
            levels[-1] = 0.0
        out.append(levels)
    return out


class Pairs:
    """The latest places `[chunks, levels, size]` of trajectories, with the mean velocity from there to the next level."""

    def __init__(self, chunks: int, size: int, device: torch.device) -> None:
        levels, dtype = len(FEW_LEVELS), torch.float16 if device.type == "cuda" else torch.float32
        shape = (chunks, levels, size, 8, 5, 8, 8)
        self.at, self.way = (torch.zeros(shape, dtype=dtype, device=device) for _ in range(2))
        self.ids = torch.zeros(chunks, size, tokenizer_code.MAX_TOKENS, dtype=torch.int16, device=device)
        self.rows = torch.zeros(chunks, size, device=device)
        self.written = 0

    def add(self, at: list[torch.Tensor], way: list[torch.Tensor], ids: torch.Tensor, rows: torch.Tensor) -> None:
        slot = self.written % self.at.shape[0]
        self.at[slot], self.way[slot] = torch.stack(at), torch.stack(way)
        self.ids[slot], self.rows[slot] = ids, rows
        self.written += 1

    def draw(self, size: int):
        """Places, levels' numbers, velocities, ids and row counts, from everything that is kept."""
        chunks = min(self.written, self.at.shape[0])
        device = self.at.device
        pick = lambda n: torch.randint(n, (size,), device=device)
        chunk, level, item = pick(chunks), pick(self.at.shape[1]), pick(self.at.shape[2])
        return self.at[chunk, level, item].float(), level, self.way[chunk, level, item].float(), self.ids[chunk, item].long(), self.rows[chunk, item]


class Teaching:
    """Draws prompts and noise and integrates teacher and student through the levels."""

    def __init__(self, teacher: Transformer, text, captions: torch.Tensor, size: int, autocast) -> None:
        self.teacher, self.text, self.captions, self.size, self.autocast = teacher, text, captions, size, autocast
        self.segments, self.sigmas = segments(TEACHER_STEPS), few_sigmas()
        self.empty = torch.zeros(1, tokenizer_code.MAX_TOKENS, dtype=torch.int16, device=captions.device)
        self.empty[:, 0] = tokenizer_code.END

    @torch.no_grad()
    def prompts(self) -> tuple[torch.Tensor, torch.Tensor]:
        device, n = self.captions.device, self.size
        clip, wording = (torch.randint(k, (n,), device=device) for k in self.captions.shape[:2])
        ids = torch.where(torch.rand(n, 1, device=device) < EMPTY, self.empty, self.captions[clip, wording])
        low, high = (math.log(r) for r in ROWS)
        many = torch.exp(low + (high - low) * torch.rand(n, device=device))
        return ids, torch.where(torch.rand(n, device=device) < 0.7, torch.full_like(many, float(ROWS[0])), many)

    @torch.no_grad()
    def trajectory(self, pairs: Pairs, player: Transformer | None) -> None:
        """One chunk more of pairs; along the path of `player`, or of the teacher where there is none."""
        ids, rows = self.prompts()
        with self.autocast:
            encode = lambda some: (self.text(some.long()), row_bias(some.long(), rows))
            positive, negative = encode(ids), encode(self.empty.expand_as(ids))
            lead = guided(self.teacher, positive, negative, GUIDANCE)
            own = None if player is None else guided(player, positive, negative, 1)
            x = torch.randn(self.size, 8, 5, 8, 8, device=ids.device)
            at, way = [], []
            for levels, sigma, following in zip(self.segments, self.sigmas, self.sigmas[1:]):
                there = integrate(lead, x, levels)
                at.append(x)
                way.append((there - x) / (following - sigma))
                x = there if own is None else x + (following - sigma) * own(x, TRAIN_STEPS * sigma)
        pairs.add(at, way, ids, rows)


def allow_many_graphs() -> None:
    """Three models share the code of their blocks; compiled forms of one code object are counted together."""
    try:
        import torch._dynamo as dynamo

        for name in ("recompile_limit", "cache_size_limit"):
            if hasattr(dynamo.config, name):
                setattr(dynamo.config, name, 64)
    except ImportError:
        pass


def compiled(model: Transformer, on: bool) -> None:
    """Between the blocks' compiled forms, where there are some, and the plain ones, for other sizes."""
    for block in model.blocks:
        kept = getattr(block, "kept_call", None)
        if on and kept is None:
            block.compile()
        elif on:
            block._compiled_call_impl = kept
        else:
            block.kept_call, block._compiled_call_impl = getattr(block, "_compiled_call_impl", None), None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True, help="an exported folder: the teacher")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("run/student"))
    parser.add_argument("--rank", type=int, default=11, help="of the change of each linear layer; 0: all weights are trained")
    parser.add_argument("--lr", type=float, help="default: 2e-3 for factors, 4e-4 for weights")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--chunks", type=int, default=48, help="of trajectories that are kept, a batch each")
    parser.add_argument("--clips", type=int, default=65_536, help="scenes that captions are written of, four each")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--held", type=int, default=256)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between evaluations")
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--tokenizer", default="tokenizer.json")
    parser.add_argument("--resume", type=Path, help="a file that an earlier run left")
    parser.add_argument("--progress", type=float, default=0.0, help="where in the schedule to begin, after a restart")
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    log = Log(args.out / "log.jsonl")
    # By processes of their own, before this one has a GPU.
    written = encode_captions(args.clips, args.workers, args.tokenizer)
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    captions = torch.as_tensor(written, device=device)
    teacher, text, vae, mean, std = load_exported(args.model)
    for module in (teacher, text, vae):
        module.to(device).requires_grad_(False)
    mean, std = mean.to(device), std.to(device)
    if device.type == "cuda":
        vae.layout.multiple = 8
    student, player = Transformer(TransformerConfig()).to(device), Transformer(TransformerConfig()).to(device)
    for module in (student, player):
        module.load_state_dict(teacher.state_dict())
    player.requires_grad_(False)
    adapter = Adapter(student, args.rank) if args.rank else None
    if args.resume:
        adapter.load(args.resume) if adapter else student.load_state_dict({k: v.float() for k, v in load_weights(args.resume).items()})
    trained = adapter or student
    lr = args.lr or (2e-3 if adapter else 4e-4)
    optimizer, average = adamw([trained], lr, (0.9, 0.98), 0.0), Average([trained], args.decay)
    parameters = [p for p in trained.parameters()]
    held = Held(args.held, args.tokenizer, device)
    parts = (text, vae, mean, std, autocast)
    log.write(stage="distill", parameters=sum(p.numel() for p in parameters), rank=args.rank, lr=lr, seconds=time.monotonic() - start)
    read, _ = held.evaluate(teacher, *parts)
    log.write(stage="distill", teacher_steps=20, seconds=time.monotonic() - start, **{f"eval_{k}": v for k, v in read.items()})
    if args.compile:
        allow_many_graphs()
        for model in (teacher, student, player):
            compiled(model, True)

    def show_player() -> None:
        """The averaged weights, as they are now, are the player's."""
        average.swap()
        if adapter:
            adapter.write()
        player.load_state_dict(student.state_dict())
        average.swap()

    def finish(step: int, seconds: float) -> None:
        show_player()
        if args.compile:
            compiled(player, False)
        read, clips = held.evaluate(player, *parts, few=True)
        if args.compile:
            compiled(player, True)
        log.write(stage="distill", step=step, seconds=seconds, **{f"eval_{k}": v for k, v in read.items()})
        notes = {"steps": step, "eval": read}
        average.swap()
        if adapter:
            adapter.save(args.out / "few-steps.safetensors", notes)
        else:
            save_weights(args.out / "transformer.safetensors", {k: v.half() for k, v in student.state_dict().items()}, notes)
        average.swap()
        write_png(args.out / "sheet.png", contact_sheet(clips[:16]))

    pairs = Pairs(args.chunks, args.batch, device)
    teaching = Teaching(teacher, text, captions, args.batch, autocast)
    timesteps = TRAIN_STEPS * torch.tensor(few_sigmas()[:-1], device=device)
    for _ in range(min(8, args.chunks)):
        teaching.trajectory(pairs, None)
        if len(pairs.at) == 1:
            break
    if not torch.isfinite(pairs.way).all():
        raise SystemExit("the teacher's velocities are not finite")
    log.write(stage="distill", chunks=pairs.written, seconds=time.monotonic() - start)
    every = REUSE * len(FEW_LEVELS)
    step, losses, begin = 0, [], time.monotonic()
    clock = Clock(args.minutes * 60 - (begin - start) - 6, Team(), device, args.max_steps)
    seen = begin
    generator = torch.Generator().manual_seed(args.seed)
    while (done := clock.progress(step)) < 1:
        progress = args.progress + (1 - args.progress) * done
        if step % every == 0:
            follows = float(torch.rand(1, generator=generator)) < OWN * min(1.0, 2 * progress)
            if follows:
                show_player()
            teaching.trajectory(pairs, player if follows else None)
        factor = min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = lr * factor
        if adapter:
            adapter.write()
        x, level, way, ids, rows = pairs.draw(args.batch)
        with autocast:
            with torch.no_grad():
                hidden = text(ids)
            loss_of = (student(x, timesteps[level], hidden, row_bias(ids, rows)) - way).square().mean((1, 2, 3, 4))
        optimizer.zero_grad(set_to_none=True)
        loss_of.mean().backward()
        if adapter:
            adapter.collect()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update()
        losses.append(torch.stack([loss_of.detach()[level == k].mean() for k in range(len(FEW_LEVELS))]))
        step += 1
        if step in (1, 20, 100) or step % 250 == 0 or step == args.max_steps:
            recent = torch.stack(losses[-100:]).nanmean(0).tolist()
            losses = losses[-100:]
            log.write(stage="distill", step=step, seconds=time.monotonic() - begin, chunks=pairs.written, losses=[round(v, 5) for v in recent])
            if any(v != v for v in recent) and step >= 100:
                raise SystemExit("the loss is not a number")
        if time.monotonic() - seen > args.every:
            seen = time.monotonic()
            finish(step, seen - begin)
    finish(step, time.monotonic() - begin)
    (args.out / "distill.done").write_text("done\n")


if __name__ == "__main__":
    main()
