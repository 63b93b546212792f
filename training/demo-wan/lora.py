"""Low-rank changes of a transformer's linear layers, as `lora_A` and `lora_B` files hold them.

The transformer itself stays as it is: before a pass its weights are written as `W + B A`, after it the gradients of the
factors are taken from those of the weights. So it runs, and is compiled, as any other.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn as nn

from files import load_weights, save_weights


class Adapter(nn.Module):
    """Factors for every linear layer of `model`, whose weights are taken over; B is zero, so that nothing has changed yet."""

    def __init__(self, model: nn.Module, rank: int) -> None:
        super().__init__()
        self.names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        self.weights = [model.get_submodule(name).weight for name in self.names]
        self.base = [weight.detach().clone() for weight in self.weights]
        for p in model.parameters():
            p.requires_grad_(False)
        for weight in self.weights:
            weight.requires_grad_(True)
        device = self.weights[0].device
        columns = [weight.shape[1] for weight in self.weights]
        self.down = nn.ParameterList(nn.Parameter(torch.randn(rank, n, device=device) * n**-0.5) for n in columns)
        self.up = nn.ParameterList(nn.Parameter(torch.zeros(w.shape[0], rank, device=device)) for w in self.weights)

    @torch.no_grad()
    def write(self) -> None:
        """The weights of the factors as they are now."""
        for weight, base, down, up in zip(self.weights, self.base, self.down, self.up):
            weight.copy_(torch.addmm(base, up, down))

    @torch.no_grad()
    def collect(self) -> None:
        """Gradients of the factors from those of the weights, which are dropped."""
        for weight, down, up in zip(self.weights, self.down, self.up):
            grad, weight.grad = weight.grad, None
            down.grad, up.grad = up.t() @ grad, grad @ down.t()

    def save(self, path: Path, metadata: dict | None = None, dtype: torch.dtype = torch.float16) -> None:
        """As diffusers writes a LoRA of a transformer; the weight of the product is 1."""
        tensors = {}
        for name, down, up in zip(self.names, self.down, self.up):
            tensors[f"transformer.{name}.lora_A.weight"] = down.detach().to(dtype)
            tensors[f"transformer.{name}.lora_B.weight"] = up.detach().to(dtype)
        save_weights(path, tensors, metadata)

    @torch.no_grad()
    def load(self, path: Path) -> None:
        tensors = load_weights(path)
        for name, down, up in zip(self.names, self.down, self.up):
            down.copy_(tensors.pop(f"transformer.{name}.lora_A.weight").float())
            up.copy_(tensors.pop(f"transformer.{name}.lora_B.weight").float())
        if tensors:
            raise SystemExit(f"{path} changes what this model does not have: {', '.join(sorted(tensors))}")


@torch.no_grad()
def merge(model: nn.Module, path: Path) -> None:
    """Adds a file to the weights of a model."""
    adapter = Adapter(model, load_weights(path)["transformer.proj_out.lora_A.weight"].shape[0])
    adapter.load(path)
    adapter.write()
    for p in model.parameters():
        p.requires_grad_(False)
