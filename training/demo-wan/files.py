"""What the stages leave on disk: weights as safetensors, lines of a log, contact sheets. Written beside and renamed."""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file


def save_weights(path: Path, tensors: dict[str, torch.Tensor], metadata: dict | None = None) -> None:
    beside = path.with_name(path.name + ".part")
    plain = {k: v.detach().to("cpu").contiguous() for k, v in tensors.items()}
    save_file(plain, str(beside), {"format": "pt", **{k: json.dumps(v) for k, v in (metadata or {}).items()}})
    os.chmod(beside, 0o644)
    os.replace(beside, path)


def load_weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(str(path))


def read_metadata(path: Path) -> dict:
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {k: json.loads(v) for k, v in header.get("__metadata__", {}).items() if k != "format"}


def write_png(path: Path, image: np.ndarray) -> None:
    """`[H, W, 3]` bytes."""
    height, width, _ = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], 1).tobytes()
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(data)
    os.replace(beside, path)


def contact_sheet(clips: torch.Tensor, every: int = 2) -> np.ndarray:
    """One row per clip of `[n, 3, F, H, W]` in -1..1, one frame of `every` beside the other."""
    video = ((clips.float().clamp(-1, 1) + 1) * 127.5).round().byte().cpu()[:, :, ::every]
    n, _, f, h, w = video.shape
    return video.permute(0, 3, 2, 4, 1).reshape(n * h, f * w, 3).numpy()


class Log:
    """Lines of JSON, on the screen and in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **fields) -> None:
        line = json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in fields.items()})
        print(line, flush=True)
        with open(self.path, "a") as file:
            file.write(line + "\n")


class Average:
    """Exponential moving average of parameters, quick at the start."""

    def __init__(self, modules: list[torch.nn.Module], decay: float) -> None:
        self.live = [p for module in modules for p in module.parameters()]
        self.kept = [p.detach().clone() for p in self.live]
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        self.steps += 1
        decay = min(self.decay, (self.steps + 1) / (self.steps + 10))
        if hasattr(torch, "_foreach_lerp_"):
            torch._foreach_lerp_(self.kept, [p.detach() for p in self.live], 1 - decay)
        else:
            torch._foreach_mul_(self.kept, decay)
            torch._foreach_add_(self.kept, [p.detach() for p in self.live], alpha=1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the live parameters with the averaged ones; twice is nothing."""
        for live, kept in zip(self.live, self.kept):
            live_value = live.detach().clone()
            live.copy_(kept)
            kept.copy_(live_value)


def adamw(modules: list[torch.nn.Module], lr: float, betas: tuple[float, float], decay: float) -> torch.optim.AdamW:
    """Weight decay on matrices only."""
    parameters = [(name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad]
    matrix = lambda name, p: p.dim() > 1 and not name.endswith(("gamma", "scale_shift_table"))
    groups = [
        {"params": [p for name, p in parameters if matrix(name, p)], "weight_decay": decay},
        {"params": [p for name, p in parameters if not matrix(name, p)], "weight_decay": 0.0},
    ]
    fused = {"fused": True} if torch.cuda.is_available() else {}
    return torch.optim.AdamW(groups, lr=lr, betas=betas, **fused)
