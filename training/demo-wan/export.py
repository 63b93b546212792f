"""Stage 4: a diffusers-format Wan 2.1 folder of the trained weights.

    python export.py --out run ../../packages/demo-wan/model
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

from files import load_weights, read_metadata, save_weights
from sampler import SHIFT
from text_encoder import TextConfig
from tokenizer import MAX_TOKENS
from transformer import TransformerConfig

DIFFUSERS = "0.40.0"
LVSA = {
    "reference_latent_frames": 5,
    "window_size": 8,
    "n_first_frames": 0,
    "max_sequence_length": MAX_TOKENS,
    "height": 64,
    "width": 64,
    "num_frames": 17,
    "fps": 8,
    "num_inference_steps": 20,
    "guidance_scale": 3.0,
}
"""What the pipeline takes where its caller says nothing: no class of a Wan folder has a place for these."""

KEPT_F32 = ("time_embedder", "scale_shift_table", "norm2")
"""Tensors of the transformer that diffusers keeps in f32 (`_keep_in_fp32_modules`)."""


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def half(tensors: dict[str, torch.Tensor], kept: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    out = {}
    for name, value in tensors.items():
        wide = any(part in name for part in kept)
        out[name] = value.float() if wide else value.half()
        if not torch.isfinite(out[name]).all():
            raise SystemExit(f"{name} does not fit f16")
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("run"))
    parser.add_argument("--tokenizer", type=Path, default=Path("tokenizer.json"))
    parser.add_argument("--f32", action="store_true", help="all weights as f32: for tests of parity")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="change a default of lvsa.json")
    args = parser.parse_args()
    folder: Path = args.folder
    wide = ("",) if args.f32 else ()
    for part in ("text_encoder", "tokenizer", "transformer", "vae", "scheduler"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    version = {"_diffusers_version": DIFFUSERS}
    # 1. Weights
    vae_path = args.out / "vae.safetensors"
    notes = read_metadata(vae_path)
    save_weights(folder / "vae" / "diffusion_pytorch_model.safetensors", half(load_weights(vae_path), wide))
    transformer = load_weights(args.out / "transformer.safetensors")
    save_weights(folder / "transformer" / "diffusion_pytorch_model.safetensors", half(transformer, wide or KEPT_F32))
    save_weights(folder / "text_encoder" / "model.safetensors", half(load_weights(args.out / "text.safetensors"), wide))
    # 2. Configurations
    vae, model, text = notes["config"], TransformerConfig(), TextConfig()
    write_json(
        folder / "vae" / "config.json",
        {
            "_class_name": "AutoencoderKLWan",
            **version,
            "base_dim": vae["base_dim"],
            "z_dim": vae["z_dim"],
            "dim_mult": vae["dim_mult"],
            "num_res_blocks": vae["num_res_blocks"],
            "attn_scales": [],
            "temperal_downsample": vae["temperal_downsample"],
            "dropout": 0.0,
            "latents_mean": [round(v, 6) for v in notes["latents_mean"]],
            "latents_std": [round(v, 6) for v in notes["latents_std"]],
        },
    )
    write_json(
        folder / "transformer" / "config.json",
        {
            "_class_name": "WanTransformer3DModel",
            **version,
            "patch_size": [1, 2, 2],
            "num_attention_heads": model.num_attention_heads,
            "attention_head_dim": model.attention_head_dim,
            "in_channels": model.channels,
            "out_channels": model.channels,
            "text_dim": model.text_dim,
            "freq_dim": model.freq_dim,
            "ffn_dim": model.ffn_dim,
            "num_layers": model.num_layers,
            "cross_attn_norm": True,
            "qk_norm": "rms_norm_across_heads",
            "eps": model.eps,
            "image_dim": None,
            "added_kv_proj_dim": None,
            "rope_max_seq_len": 1024,
            "pos_embed_seq_len": None,
        },
    )
    write_json(
        folder / "text_encoder" / "config.json",
        {
            "architectures": ["UMT5EncoderModel"],
            "model_type": "umt5",
            "vocab_size": text.vocab_size,
            "d_model": text.d_model,
            "d_kv": text.d_kv,
            "d_ff": text.d_ff,
            "num_layers": text.num_layers,
            "num_decoder_layers": text.num_layers,
            "num_heads": text.num_heads,
            "relative_attention_num_buckets": text.buckets,
            "relative_attention_max_distance": text.max_distance,
            "layer_norm_epsilon": text.eps,
            "feed_forward_proj": "gated-gelu",
            "dense_act_fn": "gelu_new",
            "is_gated_act": True,
            "is_encoder_decoder": True,
            "scalable_attention": True,
            "tie_word_embeddings": False,
            "tokenizer_class": "T5Tokenizer",
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 0,
            "dropout_rate": 0.0,
            "classifier_dropout": 0.0,
            "initializer_factor": 1.0,
            "use_cache": True,
            "torch_dtype": "float32" if args.f32 else "float16",
        },
    )
    write_json(
        folder / "scheduler" / "scheduler_config.json",
        {
            "_class_name": "UniPCMultistepScheduler",
            **version,
            "num_train_timesteps": 1000,
            "beta_start": 0.0001,
            "beta_end": 0.02,
            "beta_schedule": "linear",
            "trained_betas": None,
            "solver_order": 2,
            "prediction_type": "flow_prediction",
            "thresholding": False,
            "dynamic_thresholding_ratio": 0.995,
            "sample_max_value": 1.0,
            "predict_x0": True,
            "solver_type": "bh2",
            "lower_order_final": True,
            "disable_corrector": [],
            "solver_p": None,
            "use_karras_sigmas": False,
            "use_exponential_sigmas": False,
            "use_beta_sigmas": False,
            "use_flow_sigmas": True,
            "flow_shift": SHIFT,
            "timestep_spacing": "linspace",
            "steps_offset": 0,
            "final_sigmas_type": "zero",
            "rescale_betas_zero_snr": False,
        },
    )
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    write_json(folder / "tokenizer" / "special_tokens_map.json", special)
    token = lambda content: {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    write_json(
        folder / "tokenizer" / "tokenizer_config.json",
        {
            "added_tokens_decoder": {str(i): token(c) for i, c in enumerate(("<pad>", "</s>", "<unk>"))},
            "additional_special_tokens": [],
            "clean_up_tokenization_spaces": True,
            **special,
            "extra_ids": 0,
            "model_max_length": 512,
            "tokenizer_class": "T5Tokenizer",
        },
    )
    Tokenizer.from_file(str(args.tokenizer)).save(str(folder / "tokenizer" / "tokenizer.json"), pretty=False)
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "WanPipeline",
            **version,
            "scheduler": ["diffusers", "UniPCMultistepScheduler"],
            "text_encoder": ["transformers", "UMT5EncoderModel"],
            "tokenizer": ["transformers", "T5TokenizerFast"],
            "transformer": ["diffusers", "WanTransformer3DModel"],
            "vae": ["diffusers", "AutoencoderKLWan"],
        },
    )
    changes = {k: float(v) if "." in v else int(v) for k, v in (item.split("=") for item in args.set)}
    write_json(folder / "lvsa.json", {**LVSA, **changes})


if __name__ == "__main__":
    main()
