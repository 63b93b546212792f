"""The exported folder against what diffusers' and transformers' classes define: components, config keys, and every tensor's name and shape.

Where diffusers is installed its own classes load the folder, strictly, and must compute what ours do. Elsewhere the names are
those read in the classes of diffusers 0.40 (`WanPipeline`, `WanTransformer3DModel`, `AutoencoderKLWan`) and transformers 5
(`UMT5EncoderModel`)."""

import importlib.util
import json
import sys
import unittest
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from files import load_weights  # noqa: E402
from sample import load_exported  # noqa: E402

# Read there in August 2026; loaded strictly, and run, by hand: transformer and autoencoder differ from ours by 5e-7.
FOLDER = Path(__file__).resolve().parents[3] / "packages" / "demo-wan" / "model"
HAS_DIFFUSERS = importlib.util.find_spec("diffusers") is not None

# What the constructors take; a key beside these is reported as unexpected and ignored.
TRANSFORMER_KEYS = {
    "patch_size", "num_attention_heads", "attention_head_dim", "in_channels", "out_channels", "text_dim", "freq_dim", "ffn_dim", "num_layers",
    "cross_attn_norm", "qk_norm", "eps", "image_dim", "added_kv_proj_dim", "rope_max_seq_len", "pos_embed_seq_len",
}  # fmt: skip
VAE_KEYS = {
    "base_dim", "decoder_base_dim", "z_dim", "dim_mult", "num_res_blocks", "attn_scales", "temperal_downsample", "dropout", "latents_mean",
    "latents_std", "is_residual", "in_channels", "out_channels", "patch_size", "scale_factor_temporal", "scale_factor_spatial",
}  # fmt: skip


def read(path: str) -> dict:
    return json.loads((FOLDER / path).read_text())


def shapes(path: str) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in load_weights(FOLDER / path).items()}


def linear(name: str, inputs: int, outputs: int, bias: bool = True) -> dict[str, list[int]]:
    return {f"{name}.weight": [outputs, inputs], **({f"{name}.bias": [outputs]} if bias else {})}


def convolution(name: str, inputs: int, outputs: int, *kernel: int) -> dict[str, list[int]]:
    return {f"{name}.weight": [outputs, inputs, *kernel], f"{name}.bias": [outputs]}


def transformer_tensors(c: dict) -> dict[str, list[int]]:
    dim = c["num_attention_heads"] * c["attention_head_dim"]
    out = convolution("patch_embedding", c["in_channels"], dim, *c["patch_size"])
    patch = c["patch_size"][0] * c["patch_size"][1] * c["patch_size"][2]
    out |= linear("proj_out", dim, c["out_channels"] * patch) | {"scale_shift_table": [1, 2, dim]}
    for name, inputs in (("time_embedder", c["freq_dim"]), ("text_embedder", c["text_dim"])):
        out |= linear(f"condition_embedder.{name}.linear_1", inputs, dim) | linear(f"condition_embedder.{name}.linear_2", dim, dim)
    out |= linear("condition_embedder.time_proj", dim, 6 * dim)
    for i in range(c["num_layers"]):
        at = f"blocks.{i}"
        for attention in ("attn1", "attn2"):
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                out |= linear(f"{at}.{attention}.{part}", dim, dim)
            out |= {f"{at}.{attention}.norm_{part}.weight": [dim] for part in "qk"}
        out |= {f"{at}.norm2.weight": [dim], f"{at}.norm2.bias": [dim], f"{at}.scale_shift_table": [1, 6, dim]}
        out |= linear(f"{at}.ffn.net.0.proj", dim, c["ffn_dim"]) | linear(f"{at}.ffn.net.2", c["ffn_dim"], dim)
    return out


def residual(name: str, inputs: int, outputs: int) -> dict[str, list[int]]:
    out = {f"{name}.norm1.gamma": [inputs, 1, 1, 1], f"{name}.norm2.gamma": [outputs, 1, 1, 1]}
    out |= convolution(f"{name}.conv1", inputs, outputs, 3, 3, 3) | convolution(f"{name}.conv2", outputs, outputs, 3, 3, 3)
    return out if inputs == outputs else out | convolution(f"{name}.conv_shortcut", inputs, outputs, 1, 1, 1)


def middle(name: str, dim: int) -> dict[str, list[int]]:
    at = f"{name}.attentions.0"
    out = residual(f"{name}.resnets.0", dim, dim) | residual(f"{name}.resnets.1", dim, dim) | {f"{at}.norm.gamma": [dim, 1, 1]}
    return out | convolution(f"{at}.to_qkv", dim, 3 * dim, 1, 1) | convolution(f"{at}.proj", dim, dim, 1, 1)


def vae_tensors(c: dict) -> dict[str, list[int]]:
    z, blocks, mult, shorter = c["z_dim"], c["num_res_blocks"], c["dim_mult"], c["temperal_downsample"]
    widths = [c["base_dim"] * m for m in (1, *mult)]
    out = convolution("quant_conv", 2 * z, 2 * z, 1, 1, 1) | convolution("post_quant_conv", z, z, 1, 1, 1)
    # Encoder: one flat list of residual blocks, with a downsampling after each width but the last.
    out |= convolution("encoder.conv_in", 3, widths[0], 3, 3, 3)
    number = 0
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        for _ in range(blocks):
            out |= residual(f"encoder.down_blocks.{number}", inputs, outputs)
            inputs, number = outputs, number + 1
        if i < len(mult) - 1:
            out |= convolution(f"encoder.down_blocks.{number}.resample.1", outputs, outputs, 3, 3)
            if shorter[i]:
                out |= convolution(f"encoder.down_blocks.{number}.time_conv", outputs, outputs, 3, 1, 1)
            number += 1
    out |= middle("encoder.mid_block", widths[-1]) | {"encoder.norm_out.gamma": [widths[-1], 1, 1, 1]}
    out |= convolution("encoder.conv_out", widths[-1], 2 * z, 3, 3, 3)
    # Decoder: blocks by width, each with one residual block more; upsampling halves the channels.
    widths = [c["base_dim"] * m for m in (mult[-1], *reversed(mult))]
    out |= convolution("decoder.conv_in", z, widths[0], 3, 3, 3) | middle("decoder.mid_block", widths[0])
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        inputs = inputs if i == 0 else inputs // 2
        for k in range(blocks + 1):
            out |= residual(f"decoder.up_blocks.{i}.resnets.{k}", inputs, outputs)
            inputs = outputs
        if i < len(mult) - 1:
            at = f"decoder.up_blocks.{i}.upsamplers.0"
            out |= convolution(f"{at}.resample.1", outputs, outputs // 2, 3, 3)
            if shorter[::-1][i]:
                out |= convolution(f"{at}.time_conv", outputs, 2 * outputs, 3, 1, 1)
    return out | {"decoder.norm_out.gamma": [widths[-1], 1, 1, 1]} | convolution("decoder.conv_out", widths[-1], 3, 3, 3, 3)


def text_tensors(c: dict) -> dict[str, list[int]]:
    dim, inner = c["d_model"], c["num_heads"] * c["d_kv"]
    # `encoder.embed_tokens` is tied to `shared` and not stored.
    out = {"shared.weight": [c["vocab_size"], dim], "encoder.final_layer_norm.weight": [dim]}
    for i in range(c["num_layers"]):
        attention, dense = f"encoder.block.{i}.layer.0", f"encoder.block.{i}.layer.1"
        for part in "qkv":
            out |= linear(f"{attention}.SelfAttention.{part}", dim, inner, bias=False)
        out |= linear(f"{attention}.SelfAttention.o", inner, dim, bias=False)
        out |= {f"{attention}.SelfAttention.relative_attention_bias.weight": [c["relative_attention_num_buckets"], c["num_heads"]]}
        for part in ("wi_0", "wi_1"):
            out |= linear(f"{dense}.DenseReluDense.{part}", dim, c["d_ff"], bias=False)
        out |= linear(f"{dense}.DenseReluDense.wo", c["d_ff"], dim, bias=False)
        out |= {f"{attention}.layer_norm.weight": [dim], f"{dense}.layer_norm.weight": [dim]}
    return out


class Folder(unittest.TestCase):
    maxDiff = 2000

    def test_components(self):
        index = read("model_index.json")
        self.assertEqual(index["_class_name"], "WanPipeline")
        # `transformer_2` may be left out; everything else that the constructor takes has a default.
        parts = {name: value for name, value in index.items() if not name.startswith("_")}
        self.assertEqual(set(parts), {"tokenizer", "text_encoder", "vae", "scheduler", "transformer"})
        for name, (_, cls) in parts.items():
            file = {"tokenizer": "tokenizer_config", "scheduler": "scheduler_config"}.get(name, "config")
            config = read(f"{name}/{file}.json")
            said = config.get("_class_name") or config.get("architectures", [config.get("tokenizer_class")])[0]
            self.assertIn(said, (cls, cls.removesuffix("Fast")), name)

    def test_config_keys(self):
        for path, known in (("transformer/config.json", TRANSFORMER_KEYS), ("vae/config.json", VAE_KEYS)):
            self.assertLessEqual({key for key in read(path) if not key.startswith("_")}, known, path)

    def test_tensors(self):
        self.assertEqual(shapes("transformer/diffusion_pytorch_model.safetensors"), transformer_tensors(read("transformer/config.json")))
        self.assertEqual(shapes("vae/diffusion_pytorch_model.safetensors"), vae_tensors(read("vae/config.json")))
        self.assertEqual(shapes("text_encoder/model.safetensors"), text_tensors(read("text_encoder/config.json")))

    def test_classes_of_diffusers(self):
        if not HAS_DIFFUSERS:
            print("diffusers is not installed: its classes were compared by name alone")
            self.skipTest("diffusers is not installed")
        from diffusers import AutoencoderKLWan, WanTransformer3DModel

        transformer, _, vae, _, _ = load_exported(FOLDER)
        theirs = WanTransformer3DModel.from_pretrained(FOLDER / "transformer", torch_dtype=torch.float32)
        decoder = AutoencoderKLWan.from_pretrained(FOLDER / "vae", torch_dtype=torch.float32)
        generator = torch.Generator().manual_seed(1)
        z, text = torch.randn(1, 8, 5, 8, 8, generator=generator), torch.randn(1, 32, 128, generator=generator)
        with torch.no_grad():
            pairs = (
                (theirs(z, torch.tensor([700.0]), text, return_dict=False)[0], transformer(z, torch.tensor([700.0]), text)),
                (decoder.decode(z, return_dict=False)[0], vae.decode(z).clamp(-1, 1)),
            )
        for a, b in pairs:
            # f32 with other orders of sums; 5e-7 was seen.
            self.assertLess(float((a - b).norm() / a.norm()), 1e-5)


if __name__ == "__main__":
    unittest.main()
