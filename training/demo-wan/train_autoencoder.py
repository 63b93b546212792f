"""Stage 1: trains the autoencoder on drawn clips, by the clock.

    python train_autoencoder.py --minutes 5.5 --out run
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F

import autoencoder as model_code
from analyser import read_clips, scores
from autoencoder import Autoencoder, AutoencoderConfig
from files import Average, Log, adamw, contact_sheet, load_weights, save_weights, write_png
from world import Scenes, draw_clips, sample_scenes

CLIPS = ((17, 24, 0.75), (65, 6, 0.25))
"""Frames, batch and share of the steps. Long clips teach the decoder what has no beginning in sight."""
OBJECT = 0.5
"""Weight of all pixels of the objects together, against the whole frame. They are one pixel in twenty: without it the
background alone is a long-lived optimum of the absolute error (seen: objects were still missing after 3,900 steps)."""
KL = 3e-5
NOISE = 0.1
"""Noise on the latents of every second clip, as a share of their spread: a sampler is never exact."""
LATENT_STATISTICS = 8192


def on(scenes: Scenes, device: torch.device) -> Scenes:
    return Scenes(**{k: torch.as_tensor(v, device=device) for k, v in vars(scenes).items()})


def edges(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sobel gradients of frames `[..., H, W]`, as two separable passes, without the border."""
    smooth_y = x[..., :-2, :] + 2 * x[..., 1:-1, :] + x[..., 2:, :]
    smooth_x = x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]
    return (smooth_y[..., 2:] - smooth_y[..., :-2]) / 8, (smooth_x[..., 2:, :] - smooth_x[..., :-2, :]) / 8


def loss_of(model: Autoencoder, clips: torch.Tensor, background: torch.Tensor, autocast) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss, and the mean absolute error of the objects' pixels. `background` is `[B, 3]` in -1..1."""
    with autocast:
        mean, log_variance = model.encode(clips)
        mean, log_variance = mean.float(), log_variance.float()
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        spread = mean.detach().std((0, 2, 3, 4), keepdim=True)
        noisy = (torch.rand(z.shape[0], 1, 1, 1, 1, device=z.device) < 0.5).float()
        out = model.decode(z + NOISE * spread * noisy * torch.randn_like(z)).float()
    error = out - clips
    objects = ((clips - background[:, :, None, None, None]).abs().amax(1, keepdim=True) > 0.1).float()
    area = objects.mean((2, 3, 4), keepdim=True)
    weight = 1 + OBJECT * objects / area.clamp_min(0.02)
    pixels = (weight * (error.abs() + error.square())).mean()
    gx, gy = edges(error)
    moves = (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
    of_objects = (objects * error.abs()).sum() / (3 * objects.sum()).clamp_min(1)
    return pixels + 0.5 * (gx.abs().mean() + gy.abs().mean()) + 0.25 * moves + KL * kl, of_objects


def prepare_for_gpu(model: Autoencoder, log: Log) -> None:
    """Channels in eights, and the norm as one kernel where it compiles and says the same."""
    device = next(model.parameters()).device
    model.layout.multiple = 8
    try:
        from fused_norm import norm_silu

        x = torch.randn(2, 16, 3, 8, 8, device=device, dtype=torch.float32).requires_grad_()
        g = torch.rand(16, 1, 1, 1, device=device).requires_grad_()
        weight = torch.randn(2, 16, 3, 8, 8, device=device)
        grads = []
        for form in (model_code.l2_norm_silu, norm_silu):
            y = form(x, g, 12)
            grads.append((y.detach(), *torch.autograd.grad((y * weight).sum(), (x, g))))
        worst = max(float((a - b).norm() / a.norm()) for a, b in zip(*grads))
        log.write(stage="autoencoder", fused_norm_error=worst)
        if worst < 1e-4:
            model_code.Norm.fused = staticmethod(norm_silu)
    except Exception as error:  # the eager form is right, only slower
        log.write(stage="autoencoder", fused_norm=str(error)[:300])


@torch.no_grad()
def statistics(model: Autoencoder, scenes: Scenes, autocast, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel of the posterior mean, and the deviation of its first frame alone."""
    parts = []
    for i in range(0, len(scenes), batch):
        with autocast:
            parts.append(model.encode(draw_clips(scenes.part(slice(i, i + batch)), 17, next(model.parameters()).device))[0].float())
    latents = torch.cat(parts)
    return latents.mean((0, 2, 3, 4)), latents.std((0, 2, 3, 4)), latents[:, :, :1].std((0, 2, 3, 4))


@torch.no_grad()
def evaluate(model: Autoencoder, scenes: Scenes, autocast, batch: int, frames: int) -> tuple[dict, torch.Tensor]:
    """Peak signal to noise of the first and last 17 frames, and what the analyser reads in the reconstruction."""
    first, last, outs = [], [], []
    for i in range(0, len(scenes), batch):
        clips = draw_clips(scenes.part(slice(i, i + batch)), frames, next(model.parameters()).device)
        with autocast:
            out = model.decode(model.encode(clips)[0].float()).float().clamp(-1, 1)
        error = (out - clips).square().mean((1, 3, 4)) / 4
        first.append(-10 * error[:, :17].mean(1).log10())
        last.append(-10 * error[:, -17:].mean(1).log10())
        outs.append(out[:, :, :17])
    out = torch.cat(outs)
    return {"psnr": float(torch.cat(first).mean()), "psnr_last": float(torch.cat(last).mean()), **scores(read_clips(out), scenes)}, out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=5.5)
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--decoder-only", action="store_true", help="the latents stay what they are: may run beside stage 3")
    parser.add_argument("--scenes", type=int, default=400_000)
    parser.add_argument("--batch-scale", type=float, default=1.0, help="of the batch sizes; for tests")
    parser.add_argument("--max-steps", type=int, default=10**9)
    parser.add_argument("--overfit", type=int, default=0, help="train on this many clips only; for tests")
    args = parser.parse_args()
    start = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    log = Log(args.out / "log.jsonl")
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    model = Autoencoder(AutoencoderConfig()).to(device)
    if args.resume:
        model.load_state_dict(load_weights(args.resume))
    if args.decoder_only:
        for part in (model.encoder, model.quant_conv):
            part.requires_grad_(False)
    if device.type == "cuda":
        prepare_for_gpu(model, log)
    scenes = on(sample_scenes(args.overfit or args.scenes, seed=100), device)
    optimizer = adamw([model], args.lr, (0.9, 0.99), 0.01)
    average = Average([model], 0.999)
    generator = torch.Generator().manual_seed(args.seed + 1)
    begin = time.monotonic()
    total = args.minutes * 60 - (begin - start)
    step, saved, shown = 0, begin, begin
    losses: list[torch.Tensor] = []
    while step < args.max_steps:
        elapsed = time.monotonic() - begin
        if elapsed >= total:
            break
        progress = min(1.0, elapsed / total)
        if args.max_steps < 10**9:
            progress = step / args.max_steps
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1.0, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        draw, at = float(torch.rand(1, generator=generator)), 0
        while draw > CLIPS[at][2] and at < len(CLIPS) - 1:
            draw -= CLIPS[at][2]
            at += 1
        frames, batch = (17, args.overfit) if args.overfit else CLIPS[at][:2]
        batch = max(1, round(batch * args.batch_scale))
        rows = torch.randint(len(scenes), (batch,), device=device)
        chosen = scenes.part(rows)
        clips = draw_clips(chosen, frames, device)
        loss, of_objects = loss_of(model, clips, chosen.background_rgb.float() * 2 - 1, autocast)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update()
        losses.append(of_objects.detach())
        step += 1
        if step in (1, 20, 100) or step % 500 == 0 or step == args.max_steps:
            recent = float(torch.stack(losses[-100:]).mean())
            log.write(stage="autoencoder", step=step, seconds=time.monotonic() - begin, object_l1=recent)
            if recent != recent:
                raise SystemExit("the loss is not a number")
            losses = losses[-100:]
        if time.monotonic() - saved > 60:
            saved = time.monotonic()
            average.swap()
            save_weights(args.out / "vae.part.safetensors", model.state_dict())
            average.swap()
    average.swap()
    model.eval()
    size = max(1, round(64 * args.batch_scale))
    held = sample_scenes(max(8, round(256 * args.batch_scale)), seed=200, held_out=True, two=0)
    read, out = evaluate(model, held, autocast, size, 17)
    long, _ = evaluate(model, held.part(slice(0, max(2, len(held) // 8))), autocast, max(1, size // 8), 117)
    mean, std, first = statistics(model, sample_scenes(max(16, round(LATENT_STATISTICS * args.batch_scale)), seed=201), autocast, size)
    log.write(stage="autoencoder", steps=step, seconds=time.monotonic() - start, **{f"eval_{k}": v for k, v in read.items()})
    log.write(stage="autoencoder", frames=117, psnr=long["psnr"], psnr_last=long["psnr_last"])
    log.write(stage="autoencoder", std=[round(float(s), 4) for s in std], first_over_all=[round(float(f / s), 3) for f, s in zip(first, std)])
    write_png(args.out / "vae.png", contact_sheet(out[:12]))
    save_weights(
        args.out / "vae.safetensors",
        model.state_dict(),
        {"latents_mean": mean.tolist(), "latents_std": std.tolist(), "config": asdict(model.config), "steps": step, "eval": read},
    )


if __name__ == "__main__":
    main()
