"""Softmax attention of `[B, H, L, D]`, through PyTorch's fused kernels where it has them."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None = None, scale: float | None = None
) -> torch.Tensor:
    """`bias` is added to the scores; `scale` is 1/sqrt(D) where it is left out."""
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    if hasattr(F, "scaled_dot_product_attention"):
        mask = None if bias is None else bias.to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=factor)
    scores = q @ k.transpose(-1, -2) * factor
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1) @ v
