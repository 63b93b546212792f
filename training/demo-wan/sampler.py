"""Sampling: UniPC of order 2 (bh2, data prediction) on a shifted flow, as the exported scheduler runs it."""

from __future__ import annotations

import numpy as np
import torch

SHIFT = 4.0
TRAIN_STEPS = 1000


def shifted(u, shift: float = SHIFT):
    return shift * u / (1 + (shift - 1) * u)


def sigmas_of(steps: int, shift: float = SHIFT) -> np.ndarray:
    sigmas = shifted(np.linspace(1, 1 / TRAIN_STEPS, steps + 1)[:-1], shift)
    # At sigma 1 the logarithm of the signal is infinite.
    if abs(sigmas[0] - 1) < 1e-6:
        sigmas[0] -= 1e-6
    return np.append(sigmas, 0.0).astype(np.float32).astype(np.float64)


FEW_LEVELS = (1.0, 0.75, 0.5, 0.25)
"""Noise levels of a few-step student before the shift."""


def few_sigmas(shift: float = SHIFT) -> list[float]:
    return [shifted(level, shift) for level in FEW_LEVELS] + [0.0]


@torch.no_grad()
def few_steps(velocity, noise: torch.Tensor) -> torch.Tensor:
    """Latents from `noise` in plain Euler steps between the student's levels."""
    sigmas = few_sigmas()
    x = noise
    for sigma, following in zip(sigmas, sigmas[1:]):
        x = x + (following - sigma) * velocity(x, TRAIN_STEPS * sigma)
    return x


def _lambda(sigma: float) -> float:
    return float(np.log(1 - sigma) - np.log(sigma)) if sigma > 0 else float("inf")


def _terms(target: float, levels: list[float]):
    start = _lambda(levels[0])
    h = _lambda(target) - start
    phi = float(np.expm1(-h))
    ratios = [(_lambda(level) - start) / h for level in levels[1:]]
    right, phi_k, factorial = [], phi / -h - 1, 1.0
    for i in range(1, len(levels) + 1):
        right.append(phi_k * factorial / phi)
        factorial *= i + 1
        phi_k = phi_k / -h - 1 / factorial
    return 1 - target, target / levels[0], phi, ratios, right


def _predict(x, target: float, levels: list[float], x0: list[torch.Tensor]) -> torch.Tensor:
    if target == 0:
        return x0[0]
    alpha, noise, phi, ratios, _ = _terms(target, levels)
    out = noise * x - alpha * phi * x0[0]
    if len(levels) == 2:
        out = out - alpha * phi * 0.5 * (x0[1] - x0[0]) / ratios[0]
    return out


def _correct(x, target: float, levels: list[float], x0: list[torch.Tensor], newest: torch.Tensor) -> torch.Tensor:
    alpha, noise, phi, ratios, right = _terms(target, levels)
    if len(levels) == 1:
        rho = [0.5]
    else:
        rho = np.linalg.solve(np.array([[1.0, 1.0], [ratios[0], 1.0]]), np.array(right))
    out = noise * x - alpha * phi * x0[0] - alpha * phi * float(rho[-1]) * (newest - x0[0])
    if len(levels) == 2:
        out = out - alpha * phi * float(rho[0]) * (x0[1] - x0[0]) / ratios[0]
    return out


def sample(velocity, noise: torch.Tensor, steps: int = 20, shift: float = SHIFT) -> torch.Tensor:
    """Latents from `noise`. `velocity(x, timestep)` is the (guided) flow at a timestep of 0..1000, a number."""
    return integrate(velocity, noise, sigmas_of(steps, shift))


@torch.no_grad()
def integrate(velocity, start: torch.Tensor, sigmas) -> torch.Tensor:
    """What becomes of latents at the first of falling `sigmas` until the last of them."""
    steps = len(sigmas) - 1
    # Only the step to no noise at all must be of order 1.
    last = 1 if sigmas[-1] == 0 else 2
    x, before, x0s = start, start, []
    for i in range(steps):
        sigma = float(sigmas[i])
        x0 = x - sigma * velocity(x, float(int(sigma * TRAIN_STEPS)))
        if i > 0:
            order = min(2, steps - (i - 1), i)
            levels = [float(sigmas[i - 1 - k]) for k in range(order)]
            x = _correct(before, sigma, levels, x0s[:order], x0)
        x0s = [x0, *x0s[:1]]
        before = x
        order = min(2, steps - i - 1 + last, i + 1)
        x = _predict(x, float(sigmas[i + 1]), [float(sigmas[i - k]) for k in range(order)], x0s[:order])
    return x


def guided(model, positive, negative, guidance: float):
    """Velocity under guidance; `positive` and `negative` are `(rows, bias)`."""

    def velocity(x: torch.Tensor, timestep: float) -> torch.Tensor:
        t = torch.full((x.shape[0],), timestep, device=x.device)
        conditional = model(x, t, *positive).float()
        if guidance == 1:
            return conditional
        unconditional = model(x, t, *negative).float()
        return unconditional + guidance * (conditional - unconditional)

    return velocity
