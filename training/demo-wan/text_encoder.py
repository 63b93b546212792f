"""The text encoder: transformers' `UMT5EncoderModel` with its tensor names (a relative bias in every layer)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from attention import attend


@dataclass(frozen=True)
class TextConfig:
    vocab_size: int = 512
    d_model: int = 128
    d_kv: int = 32
    d_ff: int = 256
    num_layers: int = 2
    num_heads: int = 4
    buckets: int = 32
    max_distance: int = 128
    eps: float = 1e-6


class T5Norm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.weight


def buckets_of(length: int, buckets: int, max_distance: int) -> torch.Tensor:
    """Bucket of the key's position minus the query's, `[length, length]` (query, key)."""
    position = torch.arange(length)
    relative = position[None, :] - position[:, None]
    half = buckets // 2
    exact = half // 2
    far = relative.abs().clamp_min(1).float()
    large = exact + (torch.log(far / exact) / math.log(max_distance / exact) * (half - exact)).long()
    near = relative.abs()
    return torch.where(near < exact, near, large.clamp_max(half - 1)) + (relative > 0).long() * half


class SelfAttention(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.config = config
        self.q, self.k, self.v = (nn.Linear(config.d_model, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, config.d_model, bias=False)
        self.relative_attention_bias = nn.Embedding(config.buckets, config.num_heads)
        # Scores are not divided by the root of the head size: the weights start small instead.
        nn.init.normal_(self.q.weight, std=(config.d_model * config.d_kv) ** -0.5)
        for linear in (self.k, self.v, self.o):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        nn.init.normal_(self.relative_attention_bias.weight, std=0.1)

    def forward(self, x: torch.Tensor, key_bias: torch.Tensor, buckets: torch.Tensor) -> torch.Tensor:
        split = lambda y: y.unflatten(-1, (self.config.num_heads, -1)).transpose(1, 2)
        bias = self.relative_attention_bias(buckets).permute(2, 0, 1)[None] + key_bias
        out = attend(split(self.q(x)), split(self.k(x)), split(self.v(x)), bias, scale=1.0)
        return self.o(out.transpose(1, 2).flatten(2))


class Dense(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(config.d_model, config.d_ff, bias=False) for _ in range(2))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        for linear in (self.wi_0, self.wi_1, self.wo):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class AttentionLayer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.SelfAttention = SelfAttention(config)
        self.layer_norm = T5Norm(config.d_model, config.eps)


class DenseLayer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.DenseReluDense = Dense(config)
        self.layer_norm = T5Norm(config.d_model, config.eps)


class TextBlock(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(config), DenseLayer(config)])

    def forward(self, x: torch.Tensor, key_bias: torch.Tensor, buckets: torch.Tensor) -> torch.Tensor:
        attention, dense = self.layer
        x = x + attention.SelfAttention(attention.layer_norm(x), key_bias, buckets).float()
        return x + dense.DenseReluDense(dense.layer_norm(x)).float()


class Stack(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.block = nn.ModuleList([TextBlock(config) for _ in range(config.num_layers)])
        self.final_layer_norm = T5Norm(config.d_model, config.eps)


class TextEncoder(nn.Module):
    def __init__(self, config: TextConfig = TextConfig()) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        nn.init.normal_(self.shared.weight, std=0.5)
        self.encoder = Stack(config)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Rows `[B, L, d_model]` of ids `[B, L]`, zero where the id is 0 (padding), which nothing attends to."""
        config = self.config
        real = ids != 0
        key_bias = torch.zeros(ids.shape, device=ids.device).masked_fill(~real, -1e4)[:, None, None, :]
        buckets = buckets_of(ids.shape[1], config.buckets, config.max_distance).to(ids.device)
        x = self.shared(ids)
        for block in self.encoder.block:
            x = block(x, key_bias, buckets)
        return self.encoder.final_layer_norm(x) * real[..., None]


def row_bias(ids: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Bias `[B, 1, 1, L]` under which L text rows count as `rows` `[B]`: the pipeline appends zero rows up to a fixed
    number and attends to all of them, so the first zero row here stands for that many equal ones and the others for
    none. Where the ids fill all L rows nothing is changed."""
    real = ids != 0
    count = real.sum(1)
    first = torch.arange(ids.shape[1], device=ids.device)[None] == count[:, None]
    weight = torch.log((rows - count).clamp_min(1).float())[:, None]
    bias = torch.where(real, torch.zeros_like(weight), torch.where(first, weight, torch.full_like(weight, -1e4)))
    return bias[:, None, None, :]
