"""Reads back from pixels what a clip shows: background, colour, shape, size and motion of its main object."""

from __future__ import annotations

import torch

from world import BACKGROUNDS, COLORS, MOTIONS, SHAPES, SIZE, Scenes, _distances

FLOOR = 0.12
"""Distance from the background under which a pixel counts as background."""
HEAVIEST = 0.02
TURN = 0.07
"""Sine of the turn over two frames from which motion is an orbit; the slowest orbit turns by 0.125."""
STILL = 0.5
"""Pixels per frame: half of the slowest motion."""


def read_clips(clips: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of clips `[n, 3, F, 64, 64]` in -1..1: indices `background`, `color`, `shape`, `motion` [n] into the lists of the
    world, `speed` in pixels per frame, `radius` in pixels, and `shape_error`, the mean squared error of the best
    template."""
    video = ((clips.float() + 1) / 2).clamp(0, 1)
    device = video.device
    n, _, frames = video.shape[:3]
    names = lambda table: torch.tensor(list(table.values()), device=device)
    backgrounds, colors = names(BACKGROUNDS), names(COLORS)
    # 1. Background: the name nearest to most pixels
    pixels = video.permute(0, 2, 3, 4, 1).reshape(n, -1, 3)
    nearest = torch.cdist(pixels, torch.cat([backgrounds, colors])[None].expand(n, -1, -1)).argmin(-1)
    counts = torch.zeros(n, len(BACKGROUNDS) + len(COLORS), device=device)
    counts.scatter_add_(1, nearest, torch.ones_like(nearest, dtype=torch.float32))
    background = counts[:, : len(BACKGROUNDS)].argmax(1)
    base = backgrounds[background]
    # 2. Colour: the mean of the pixels farthest from it
    away = (pixels - base[:, None]).norm(dim=-1)
    weight = (away - FLOOR).clamp_min(0)
    top = weight.topk(max(1, int(HEAVIEST * weight.shape[1])), 1).indices
    mean = pixels.gather(1, top[..., None].expand(-1, -1, 3)).mean(1)
    color = torch.cdist(mean, colors).argmin(1)
    # 3. Position: circular mean on the torus
    weight = weight.reshape(n, frames, SIZE, SIZE)
    angle = (torch.arange(SIZE, device=device) + 0.5) * (2 * torch.pi / SIZE)

    def centre(along: torch.Tensor) -> torch.Tensor:
        return torch.remainder(torch.atan2((along * angle.sin()).sum(-1), (along * angle.cos()).sum(-1)) * SIZE / (2 * torch.pi), SIZE)

    place = torch.stack([centre(weight.sum(2)), centre(weight.sum(3))], -1)
    motion, speed = motion_of(place)
    # 4. Shape: the best of drawn templates over five frames
    axis = colors[color] - base
    cover = ((video - base[:, :, None, None, None]) * axis[:, :, None, None, None]).sum(1) / (axis * axis).sum(1)[:, None, None, None]
    chosen = torch.linspace(0, frames - 1, 5, device=device).round().long()
    shape, radius, error = shape_of(cover[:, chosen].clamp(0, 1), place[:, chosen])
    return {"background": background, "color": color, "shape": shape, "motion": motion, "speed": speed, "radius": radius, "shape_error": error}


def _wrap(d: torch.Tensor) -> torch.Tensor:
    return torch.remainder(d + SIZE / 2, SIZE) - SIZE / 2


def motion_of(place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Motion and median speed of positions `[n, F, 2]`."""
    step = _wrap(place[:, 1:] - place[:, :-1])
    speed = step.norm(dim=-1).median(1).values
    two = step[:, 1:] + step[:, :-1]
    a, b = two[:, :-2], two[:, 2:]
    cross = (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(1e-6)
    turn = cross.median(1).values
    typical = step.median(1).values
    size = step.abs().median(1).values
    index = MOTIONS.index
    diagonal = size.min(1).values > 0.27 * size.max(1).values
    horizontal = typical[:, 0].abs() > typical[:, 1].abs()
    straight = torch.where(
        horizontal,
        torch.where(typical[:, 0] < 0, index("left"), index("right")),
        torch.where(typical[:, 1] < 0, index("up"), index("down")),
    )
    motion = torch.where(diagonal, torch.full_like(straight, index("bounces")), straight)
    orbit = torch.where(turn > 0, index("clockwise"), index("anticlockwise"))
    motion = torch.where(turn.abs() > TURN, orbit, motion)
    drift = _wrap(place[:, -1] - place[:, 0]).norm(dim=-1)
    still = (speed < STILL) | ((speed < 2 * STILL) & (drift < 0.2 * (place.shape[1] - 1)))
    return torch.where(still, torch.full_like(motion, index("still")), motion), speed


def shape_of(cover: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Best template of cover maps `[n, K, 64, 64]` around `place` `[n, K, 2]`: shape, radius, mean squared error."""
    device = cover.device
    c = torch.arange(SIZE, device=device) + 0.5
    radii = torch.arange(6.0, 15.01, 0.75, device=device)
    best = torch.full((cover.shape[0],), float("inf"), device=device)
    shape = torch.zeros(cover.shape[0], dtype=torch.long, device=device)
    radius = torch.zeros_like(best)
    dx0 = _wrap(c[None, None, None, :] - place[..., 0, None, None])
    dy0 = _wrap(c[None, None, :, None] - place[..., 1, None, None])
    for s in range(len(SHAPES)):
        kind = torch.tensor(s, device=device)
        for r in radii:
            for ox, oy in ((0, 0), (0.6, 0), (-0.6, 0), (0, 0.6), (0, -0.6)):
                template = (0.5 - _distances(kind, dx0 + ox, dy0 + oy, r)).clamp(0, 1)
                error = (cover - template).square().mean((1, 2, 3))
                better = error < best
                best, shape, radius = torch.where(better, error, best), torch.where(better, kind, shape), torch.where(better, r, radius)
    return shape, radius, best


def scores(read: dict[str, torch.Tensor], scenes: Scenes) -> dict[str, float]:
    """Shares of clips that show what their scene says, and the mean error of the shape templates."""
    device = read["color"].device
    to = lambda a: torch.as_tensor(a, device=device)
    share = lambda hit: round(float(hit.float().mean()), 4)
    motion = to(scenes.motion[:, 0])
    hit = read["motion"] == motion
    plain = motion < MOTIONS.index("clockwise")
    fast = read["speed"] > 1.8
    moving = motion != MOTIONS.index("still")
    return {
        "background": share(read["background"] == to(scenes.background)),
        "color": share(read["color"] == to(scenes.color[:, 0])),
        "shape": share(read["shape"] == to(scenes.shape[:, 0])),
        "motion": share(hit),
        "direction": share(hit[plain]),
        "size": share((read["radius"] > 10) == (to(scenes.size[:, 0]) == 1)),
        "speed": share((fast == (to(scenes.speed[:, 0]) == 1))[moving]),
        "shape_error": round(float(read["shape_error"].mean()), 5),
    }
