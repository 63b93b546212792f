"""The world of the demo model: what a scene is, how it is drawn, and which scenes are kept for tests.

A scene is one plain background and one or two moving shapes. It goes on for ever: straight motion wraps round the
edges of the frame, orbits never end, bounces reflect. So a prompt means the same at every length, and the expected
step of an object is the same in frame 5 and in frame 500.

Coordinates are pixels of a 64 x 64 frame, x to the right, y down; the centre of the first pixel is (0.5, 0.5).
Colours are RGB in 0..1. `draw_frame` is the definition; `draw_clips` is the same in batches on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

SIZE = 64
FRAMES = 17
"""Video frames of a training clip: 5 latent frames."""

COLORS = {
    "red": (0.90, 0.10, 0.10),
    "green": (0.05, 0.55, 0.15),
    "blue": (0.15, 0.30, 0.95),
    "yellow": (0.98, 0.88, 0.10),
    "purple": (0.55, 0.10, 0.75),
    "orange": (1.00, 0.52, 0.05),
    "white": (1.00, 1.00, 1.00),
    "cyan": (0.10, 0.85, 0.90),
}
BACKGROUNDS = {
    "black": (0.03, 0.03, 0.03),
    "gray": (0.50, 0.50, 0.50),
    "navy": (0.05, 0.08, 0.38),
    "pink": (1.00, 0.65, 0.75),
    "brown": (0.42, 0.24, 0.10),
    "lime": (0.60, 0.95, 0.35),
}
SHAPES = ("circle", "square", "triangle", "star")
SIZES = ("small", "large")
SPEEDS = ("slow", "fast")
MOTIONS = ("left", "right", "up", "down", "still", "clockwise", "anticlockwise", "bounces")

RADIUS = {"small": (7.0, 9.0), "large": (11.0, 14.0)}
"""Pixels, from and to."""
VELOCITY = {"slow": (1.0, 1.6), "fast": (2.0, 3.0)}
"""Pixels per video frame, from and to."""
ORBIT = (10.0, 16.0)
JITTER = 0.02
TWO_OBJECTS = 0.1
"""Share of the scenes that hold a second object, of another colour."""

_COLOR_NAMES = tuple(COLORS)
_BACKGROUND_NAMES = tuple(BACKGROUNDS)

_SQUARE_HALF = 0.85
_TRIANGLE_INRADIUS = 0.66
_STAR_OUTER = 1.3
_STAR_INNER = 0.58


def is_held_out(color: int, shape: int, motion: int, background: int) -> bool:
    """Whether a combination (indices into the lists above) is never trained on: one in eleven."""
    return (7 * color + 3 * shape + 5 * motion + background) % 11 == 0


@dataclass
class Scenes:
    """`n` scenes as arrays. Per scene: `background` [n], `background_rgb` [n, 3], `count` [n] (1 or 2). Per object
    [n, 2] (the second is meaningless where count is 1): indices `color`, `shape`, `size`, `motion`, `speed`; numbers
    `radius`, `velocity`, `x`, `y`, `orbit`, `phase`, `angle`; `rgb` [n, 2, 3]."""

    background: np.ndarray
    background_rgb: np.ndarray
    count: np.ndarray
    color: np.ndarray
    shape: np.ndarray
    size: np.ndarray
    motion: np.ndarray
    speed: np.ndarray
    radius: np.ndarray
    velocity: np.ndarray
    x: np.ndarray
    y: np.ndarray
    orbit: np.ndarray
    phase: np.ndarray
    angle: np.ndarray
    rgb: np.ndarray

    def __len__(self) -> int:
        return len(self.background)

    def part(self, rows: slice | np.ndarray) -> "Scenes":
        return Scenes(**{name: value[rows] for name, value in vars(self).items()})


def sample_scenes(n: int, seed: int, held_out: bool = False, two: float = TWO_OBJECTS) -> Scenes:
    """`n` scenes whose first objects are all trained combinations, or all held-out ones. `two` is the share with a
    second object (whose combination is never a held-out one)."""
    rng = np.random.default_rng(seed)
    background = rng.integers(len(BACKGROUNDS), size=n)
    color, shape, motion = (np.zeros((n, 2), dtype=np.int64) for _ in range(3))
    todo = np.ones((n, 2), dtype=bool)
    while todo.any():
        for values, count in ((color, len(COLORS)), (shape, len(SHAPES)), (motion, len(MOTIONS))):
            values[todo] = rng.integers(count, size=int(todo.sum()))
        held = (7 * color + 3 * shape + 5 * motion + background[:, None]) % 11 == 0
        todo = held != np.array([held_out, False])
        todo[:, 1] |= color[:, 1] == color[:, 0]
    size = rng.integers(2, size=(n, 2))
    speed = rng.integers(2, size=(n, 2))
    between = lambda low, high: low + (high - low) * rng.random((n, 2))
    pick = lambda table, index: np.array(list(table.values()))[index]
    radius_range, velocity_range = pick(RADIUS, size), pick(VELOCITY, speed)
    radius = between(radius_range[..., 0], radius_range[..., 1])
    velocity = between(velocity_range[..., 0], velocity_range[..., 1])
    # Orbits stay inside the frame, bounces start inside their box, everything else starts anywhere.
    circles = (motion == MOTIONS.index("clockwise")) | (motion == MOTIONS.index("anticlockwise"))
    bounces = motion == MOTIONS.index("bounces")
    low = np.where(circles, 28.0, np.where(bounces, radius, 0.0))
    high = np.where(circles, 36.0, np.where(bounces, SIZE - radius, float(SIZE)))
    quarter = rng.integers(4, size=(n, 2))
    return Scenes(
        background=background,
        background_rgb=_jitter(rng, np.array(list(BACKGROUNDS.values()))[background]),
        count=1 + (rng.random(n) < two).astype(np.int64),
        color=color,
        shape=shape,
        size=size,
        motion=motion,
        speed=speed,
        radius=radius,
        velocity=velocity,
        x=between(low, high),
        y=between(low, high),
        orbit=between(*ORBIT),
        phase=between(0.0, 2 * math.pi),
        # Between 25 and 65 degrees of each quarter turn: a bounce is never along an axis.
        angle=quarter * (math.pi / 2) + between(math.radians(25), math.radians(65)),
        rgb=_jitter(rng, np.array(list(COLORS.values()))[color]),
    )


def _jitter(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    return np.clip(rgb + JITTER * (2 * rng.random(rgb.shape) - 1), 0.0, 1.0)


def spec_of(scenes: Scenes, i: int) -> dict:
    """One scene as plain data: the form that the tests of other languages read."""
    number = lambda value: round(float(value), 6)
    objects = []
    for k in range(int(scenes.count[i])):
        objects.append(
            {
                "shape": SHAPES[scenes.shape[i, k]],
                "color": _COLOR_NAMES[scenes.color[i, k]],
                "rgb": [number(v) for v in scenes.rgb[i, k]],
                "size": SIZES[scenes.size[i, k]],
                "radius": number(scenes.radius[i, k]),
                "motion": MOTIONS[scenes.motion[i, k]],
                "speed": SPEEDS[scenes.speed[i, k]],
                "velocity": number(scenes.velocity[i, k]),
                "x": number(scenes.x[i, k]),
                "y": number(scenes.y[i, k]),
                "orbit": number(scenes.orbit[i, k]),
                "phase": number(scenes.phase[i, k]),
                "angle": number(scenes.angle[i, k]),
            }
        )
    return {
        "background": {
            "name": _BACKGROUND_NAMES[scenes.background[i]],
            "rgb": [number(v) for v in scenes.background_rgb[i]],
        },
        "objects": objects,
    }


def position(item: dict, frame: float) -> tuple[float, float]:
    """Centre of an object of a spec at a frame (0 is the first)."""
    x, y, way = item["x"], item["y"], item["velocity"] * frame
    motion = item["motion"]
    if motion in ("clockwise", "anticlockwise"):
        # y points down, so a growing angle is clockwise on the screen.
        turn = way / item["orbit"] * (1 if motion == "clockwise" else -1)
        angle = item["phase"] + turn
        return (x + item["orbit"] * math.cos(angle)) % SIZE, (y + item["orbit"] * math.sin(angle)) % SIZE
    if motion == "bounces":
        return tuple(
            _reflect(start + way * part, item["radius"])
            for start, part in ((x, math.cos(item["angle"])), (y, math.sin(item["angle"])))
        )
    dx, dy = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}[motion]
    return (x + way * dx) % SIZE, (y + way * dy) % SIZE


def _reflect(value: float, radius: float) -> float:
    length = SIZE - 2 * radius
    along = (value - radius) % (2 * length)
    return radius + (along if along <= length else 2 * length - along)


def distance(shape: str, dx: np.ndarray, dy: np.ndarray, radius: float) -> np.ndarray:
    """Signed distance in pixels from the edge of a shape, negative inside; corners are mitred."""
    if shape == "circle":
        return np.hypot(dx, dy) - radius
    if shape == "square":
        return np.maximum(np.abs(dx), np.abs(dy)) - _SQUARE_HALF * radius
    if shape == "triangle":
        side = math.sqrt(3) / 2 * np.abs(dx) - dy / 2
        return np.maximum(dy, side) - _TRIANGLE_INRADIUS * radius
    # A star of five tips, the first one up: folded into half a tip, it is one straight edge.
    tenth = math.pi / 5
    angle = np.abs((np.arctan2(dx, -dy) + tenth) % (2 * tenth) - tenth)
    r = np.hypot(dx, dy)
    nx, ny, offset = _star_edge()
    return nx * r * np.cos(angle) + ny * r * np.sin(angle) - offset * radius


def _star_edge() -> tuple[float, float, float]:
    """Outward normal of the edge from the outer tip to the inner corner, and its distance from the centre."""
    tx, ty = _STAR_OUTER, 0.0
    ix, iy = _STAR_INNER * math.cos(math.pi / 5), _STAR_INNER * math.sin(math.pi / 5)
    ex, ey = ix - tx, iy - ty
    length = math.hypot(ex, ey)
    nx, ny = ey / length, -ex / length
    return nx, ny, nx * tx + ny * ty


def draw_frame(spec: dict, frame: float) -> np.ndarray:
    """A frame of a spec, `[64, 64, 3]` RGB in 0..1, float64. Edges are soft over one pixel; later objects cover
    earlier ones."""
    centres = np.arange(SIZE) + 0.5
    image = np.tile(np.array(spec["background"]["rgb"]), (SIZE, SIZE, 1))
    for item in spec["objects"]:
        cx, cy = position(item, frame)
        wrap = lambda d: (d + SIZE / 2) % SIZE - SIZE / 2
        dx, dy = np.meshgrid(wrap(centres - cx), wrap(centres - cy))
        cover = np.clip(0.5 - distance(item["shape"], dx, dy, item["radius"]), 0.0, 1.0)[..., None]
        image = image * (1 - cover) + np.array(item["rgb"]) * cover
    return image


def draw_clips(scenes: Scenes, frames: int, device: torch.device | str = "cpu", first: int = 0) -> torch.Tensor:
    """Clips `[n, 3, frames, 64, 64]` in -1..1, f32, drawn on `device`."""
    to = lambda a: torch.as_tensor(a, device=device).float()
    index = lambda a: torch.as_tensor(a, device=device)
    f = torch.arange(first, first + frames, device=device).float()[None, :]
    c = torch.arange(SIZE, device=device).float() + 0.5
    n = len(scenes)
    image = to(scenes.background_rgb)[:, :, None, None, None].expand(n, 3, frames, SIZE, SIZE)
    for k in range(scenes.color.shape[1]):
        radius, motion, shape = to(scenes.radius[:, k])[:, None], index(scenes.motion[:, k])[:, None], index(scenes.shape[:, k])
        cx, cy = _positions(scenes, k, f, radius, motion, to)
        wrap = lambda d: torch.remainder(d + SIZE / 2, SIZE) - SIZE / 2
        dx = wrap(c[None, None, None, :] - cx[..., None, None])
        dy = wrap(c[None, None, :, None] - cy[..., None, None])
        d = _distances(shape[:, None, None, None], dx, dy, radius[:, :, None, None])
        cover = (0.5 - d).clamp(0, 1)
        cover = cover * to(scenes.count > k)[:, None, None, None]
        image = torch.lerp(image, to(scenes.rgb[:, k])[:, :, None, None, None].expand_as(image), cover[:, None])
    return image * 2 - 1


def _positions(scenes: Scenes, k: int, f: torch.Tensor, radius, motion, to) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, orbit, phase, angle = (to(getattr(scenes, name)[:, k])[:, None] for name in ("x", "y", "orbit", "phase", "angle"))
    way = to(scenes.velocity[:, k])[:, None] * f
    is_ = lambda name: motion == MOTIONS.index(name)
    sign = is_("clockwise").float() - is_("anticlockwise").float()
    circles, bounces = sign != 0, is_("bounces")
    turn = phase + sign * way / orbit

    def reflect(value: torch.Tensor) -> torch.Tensor:
        length = SIZE - 2 * radius
        along = torch.remainder(value - radius, 2 * length)
        return radius + torch.minimum(along, 2 * length - along)

    dx = is_("right").float() - is_("left").float()
    dy = is_("down").float() - is_("up").float()
    cx = torch.where(circles, x + orbit * torch.cos(turn), x + way * dx)
    cy = torch.where(circles, y + orbit * torch.sin(turn), y + way * dy)
    cx = torch.where(bounces, reflect(x + way * torch.cos(angle)), cx)
    cy = torch.where(bounces, reflect(y + way * torch.sin(angle)), cy)
    return cx, cy


def _distances(shape: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    r = torch.sqrt(dx * dx + dy * dy)
    square = torch.maximum(dx.abs(), dy.abs()) - _SQUARE_HALF * radius
    triangle = torch.maximum(dy + 0 * dx, math.sqrt(3) / 2 * dx.abs() - dy / 2) - _TRIANGLE_INRADIUS * radius
    tenth = math.pi / 5
    angle = (torch.remainder(torch.atan2(dx + 0 * dy, -dy + 0 * dx) + tenth, 2 * tenth) - tenth).abs()
    nx, ny, offset = _star_edge()
    star = nx * r * torch.cos(angle) + ny * r * torch.sin(angle) - offset * radius
    is_ = lambda name: shape == SHAPES.index(name)
    out = torch.where(is_("square"), square, r - radius)
    out = torch.where(is_("triangle"), triangle, out)
    return torch.where(is_("star"), star, out)
