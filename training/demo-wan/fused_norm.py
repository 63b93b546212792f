"""The autoencoder's norm and SiLU as one kernel, forward and backward, on channels-last rows (Triton)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

ROWS = 64


@triton.jit
def _forward(x_ptr, g_ptr, y_ptr, n, scale, C: tl.constexpr, CP: tl.constexpr, R: tl.constexpr):
    rows = tl.program_id(0) * R + tl.arange(0, R)
    cols = tl.arange(0, CP)
    at = rows[:, None].to(tl.int64) * C + cols[None, :]
    inside = (rows[:, None] < n) & (cols[None, :] < C)
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(g_ptr + cols, mask=cols < C, other=0.0)
    inverse = tl.rsqrt(tl.maximum(tl.sum(x * x, 1), 1e-24)) * scale
    u = x * inverse[:, None] * g[None, :]
    tl.store(y_ptr + at, (u * tl.sigmoid(u)).to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _backward(x_ptr, g_ptr, dy_ptr, dx_ptr, dg_ptr, n, scale, C: tl.constexpr, CP: tl.constexpr, R: tl.constexpr):
    rows = tl.program_id(0) * R + tl.arange(0, R)
    cols = tl.arange(0, CP)
    at = rows[:, None].to(tl.int64) * C + cols[None, :]
    inside = (rows[:, None] < n) & (cols[None, :] < C)
    x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + at, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(g_ptr + cols, mask=cols < C, other=0.0)
    squares = tl.maximum(tl.sum(x * x, 1), 1e-24)
    inverse = tl.rsqrt(squares)
    unit = x * (inverse * scale)[:, None]
    u = unit * g[None, :]
    s = tl.sigmoid(u)
    du = dy * s * (1 + u * (1 - s))
    tl.atomic_add(dg_ptr + cols, tl.sum(du * unit, 0), mask=cols < C)
    v = du * g[None, :]
    along = tl.sum(v * x, 1) / squares
    dx = (v - x * along[:, None]) * (inverse * scale)[:, None]
    tl.store(dx_ptr + at, dx.to(dx_ptr.dtype.element_ty), mask=inside)


def _rows(x: torch.Tensor) -> torch.Tensor:
    """Channels last in memory, as rows."""
    order = (0, *range(2, x.dim()), 1)
    return x.permute(order).contiguous().view(-1, x.shape[1])


def _back(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    n, c, *rest = like.shape
    return rows.view(n, *rest, c).permute(0, like.dim() - 1, *range(1, like.dim() - 1))


class NormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, channels):
        rows = _rows(x)
        n, c = rows.shape
        y = torch.empty_like(rows)
        g = gamma.reshape(-1).float().contiguous()
        _forward[(triton.cdiv(n, ROWS),)](rows, g, y, n, channels**0.5, c, triton.next_power_of_2(c), ROWS)
        ctx.save_for_backward(rows, g)
        ctx.channels, ctx.gamma_shape = channels, gamma.shape
        return _back(y, x)

    @staticmethod
    def backward(ctx, dy):
        rows, g = ctx.saved_tensors
        n, c = rows.shape
        d = _rows(dy)
        dx, dg = torch.empty_like(rows), torch.zeros_like(g)
        _backward[(triton.cdiv(n, ROWS),)](rows, g, d, dx, dg, n, ctx.channels**0.5, c, triton.next_power_of_2(c), ROWS)
        return _back(dx, dy), dg.view(ctx.gamma_shape), None


def norm_silu(x: torch.Tensor, gamma: torch.Tensor, channels: int) -> torch.Tensor:
    return NormSilu.apply(x, gamma, channels)
