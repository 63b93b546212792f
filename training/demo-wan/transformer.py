"""The transformer: diffusers' `WanTransformer3DModel` with its tensor names. Residuals, norms and modulation are f32."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from attention import attend


@dataclass(frozen=True)
class TransformerConfig:
    num_attention_heads: int = 6
    attention_head_dim: int = 32
    channels: int = 8
    text_dim: int = 128
    freq_dim: int = 256
    ffn_dim: int = 640
    num_layers: int = 6
    eps: float = 1e-6

    @property
    def dim(self) -> int:
        return self.num_attention_heads * self.attention_head_dim


def rotary_tables(
    head_dim: int, frames: int, height: int, width: int, device=None, temporal: tuple[float, ...] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines `[tokens, head_dim / 2]` of a token grid: time, then height, then width. `temporal`: other
    frequencies of time, in radians per frame."""
    spatial = 2 * (head_dim // 6)
    ladder = lambda dim: 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    time = ladder(head_dim - 2 * spatial) if temporal is None else torch.tensor(temporal, dtype=torch.float64)
    axes = [(frames, time), (height, ladder(spatial)), (width, ladder(spatial))]
    angles = [torch.outer(torch.arange(n, dtype=torch.float64), f) for n, f in axes]
    shape = (frames, height, width)
    grid = [
        a.reshape([n if i == k else 1 for i, n in enumerate(shape)] + [-1]).expand(*shape, -1)
        for k, a in enumerate(angles)
    ]
    joined = torch.cat(grid, -1).reshape(frames * height * width, -1)
    return joined.cos().float().to(device), joined.sin().float().to(device)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Interleaved pairs of `[B, L, H, D]`."""
    y = x.float().unflatten(-1, (-1, 2))
    a, b = y[..., 0], y[..., 1]
    c, s = cos[None, :, None, :], sin[None, :, None, :]
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2).to(x.dtype)


class RmsNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.float()
        return (y * torch.rsqrt((y * y).mean(-1, keepdim=True) + self.eps) * self.weight).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.num_attention_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.norm_q, self.norm_k = RmsNorm(dim, config.eps), RmsNorm(dim, config.eps)

    def forward(self, x: torch.Tensor, source: torch.Tensor, tables=None, bias=None) -> torch.Tensor:
        split = lambda y: y.unflatten(-1, (self.heads, -1))
        q, k = split(self.norm_q(self.to_q(x))), split(self.norm_k(self.to_k(source)))
        v = split(self.to_v(source))
        if tables is not None:
            q, k = rotate(q, *tables), rotate(k, *tables)
        out = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias)
        return self.to_out[0](out.transpose(1, 2).flatten(2))


class Projection(nn.Module):
    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        # Position 1 is a dropout in the published class.
        self.net = nn.ModuleList([Projection(dim, inner), nn.Identity(), nn.Linear(inner, dim)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net[2](self.net[0](x))


class Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.attn1, self.attn2 = Attention(config), Attention(config)
        self.norm2 = nn.LayerNorm(config.dim, config.eps)
        self.ffn = FeedForward(config.dim, config.ffn_dim)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, config.dim) / config.dim**0.5)

    def forward(self, x, modulation, text, text_bias, cos, sin, self_bias=None) -> torch.Tensor:
        parts = (self.scale_shift_table + modulation).chunk(6, 1)
        norm = lambda y, shift, scale: F.layer_norm(y, y.shape[-1:], eps=self.eps) * (1 + scale) + shift
        y = norm(x, parts[0], parts[1])
        x = x + self.attn1(y, y, (cos, sin), self_bias).float() * parts[2]
        x = x + self.attn2(self.norm2(x), text, None, text_bias).float()
        return x + self.ffn(norm(x, parts[3], parts[4])).float() * parts[5]


class Embedding(nn.Module):
    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, dim), nn.Linear(dim, dim)


class ConditionEmbedder(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.time_embedder = Embedding(config.freq_dim, config.dim)
        self.time_proj = nn.Linear(config.dim, 6 * config.dim)
        self.text_embedder = Embedding(config.text_dim, config.dim)


class PatchEmbedding(nn.Module):
    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, channels, 1, 2, 2))
        self.bias = nn.Parameter(torch.zeros(dim))


class Transformer(nn.Module):
    def __init__(self, config: TransformerConfig = TransformerConfig()) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = PatchEmbedding(config.channels, config.dim)
        self.condition_embedder = ConditionEmbedder(config)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.num_layers)])
        self.proj_out = nn.Linear(config.dim, config.channels * 4)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, config.dim) / config.dim**0.5)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.patch_embedding.weight.view(config.dim, -1))
        for linear in (self.condition_embedder.time_embedder.linear_1, self.condition_embedder.time_embedder.linear_2):
            nn.init.normal_(linear.weight, std=0.02)
        nn.init.zeros_(self.proj_out.weight)
        self.temporal_frequencies: tuple[float, ...] | None = None
        """In place of the usual ones; for RIFLEx."""
        self._tables: dict[tuple, tuple[torch.Tensor, torch.Tensor]] = {}

    def tables(self, frames: int, height: int, width: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        key = (frames, height, width, str(device), self.temporal_frequencies)
        if key not in self._tables:
            size = self.config.attention_head_dim
            self._tables[key] = rotary_tables(size, frames, height, width, device, self.temporal_frequencies)
        return self._tables[key]

    def forward(self, latents, timestep, text, text_bias=None, self_bias=None) -> torch.Tensor:
        """Velocity `[B, C, T, h, w]` of latents at `timestep` `[B]` (0..1000) under text rows `[B, L, text_dim]`.
        `text_bias` `[B, 1, 1, L]` is added to the scores of the rows, `self_bias` `[1, 1, N, N]` to those of tokens."""
        b, c, t, h, w = latents.shape
        dim = self.config.dim
        x = latents.reshape(b, c, t, h // 2, 2, w // 2, 2).permute(0, 2, 3, 5, 1, 4, 6).reshape(b, -1, 4 * c)
        x = F.linear(x, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias).float()
        condition = self.condition_embedder
        half = self.config.freq_dim // 2
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, device=x.device, dtype=torch.float32) / half)
        angles = timestep.float()[:, None] * frequencies
        with torch.autocast(x.device.type, enabled=False):
            features = torch.cat([angles.cos(), angles.sin()], -1)
            embedder = condition.time_embedder
            temb = embedder.linear_2(F.silu(embedder.linear_1(features)))
            modulation = condition.time_proj(F.silu(temb)).view(b, 6, dim)
        rows = condition.text_embedder
        text = rows.linear_2(F.gelu(rows.linear_1(text), approximate="tanh"))
        cos, sin = self.tables(t, h // 2, w // 2, x.device)
        for block in self.blocks:
            x = block(x, modulation, text, text_bias, cos, sin, self_bias)
        shift, scale = (self.scale_shift_table + temb[:, None]).chunk(2, 1)
        y = F.layer_norm(x, x.shape[-1:], eps=self.config.eps) * (1 + scale) + shift
        y = self.proj_out(y).float()
        return y.reshape(b, t, h // 2, w // 2, 2, 2, c).permute(0, 6, 1, 2, 4, 3, 5).reshape(b, c, t, h, w)
