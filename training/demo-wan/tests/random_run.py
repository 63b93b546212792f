"""A run folder with random weights, for tests of parity: `python tests/random_run.py FOLDER`."""

import sys
from dataclasses import asdict
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from autoencoder import Autoencoder  # noqa: E402
from files import save_weights  # noqa: E402
from text_encoder import TextEncoder  # noqa: E402
from transformer import Transformer  # noqa: E402


def main(folder: str) -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(5)
    vae, transformer, text = Autoencoder(), Transformer(), TextEncoder()
    for module in (vae, transformer, text):
        for p in module.parameters():
            # Nothing stays at 0 or 1, where a forgotten tensor would not show.
            p.data += 0.03 * torch.randn_like(p)
    transformer.proj_out.weight.data = 0.1 * torch.randn_like(transformer.proj_out.weight)
    save_weights(
        out / "vae.safetensors",
        vae.state_dict(),
        {"latents_mean": [0.1 * k for k in range(8)], "latents_std": [1 + 0.1 * k for k in range(8)], "config": asdict(vae.config)},
    )
    save_weights(out / "transformer.safetensors", transformer.state_dict())
    save_weights(out / "text.safetensors", text.state_dict())


if __name__ == "__main__":
    main(sys.argv[1])
