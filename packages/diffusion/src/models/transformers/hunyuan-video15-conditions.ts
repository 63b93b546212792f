/**
 * What HunyuanVideo 1.5 conditions on: a token refiner over the text embeddings, projections of glyph and image
 * embeddings, and the encoder stream made of the three. Source: diffusers `HunyuanVideo15TokenRefiner`,
 * `HunyuanVideo15ByT5TextProjection`, `HunyuanVideo15ImageProjection`.
 *
 * Inputs hold valid tokens only. diffusers pads and masks; a masked token is never attended, so leaving it out
 * gives the same numbers for all others.
 */
import { attention } from "@lvsa/core";
import { activate, add, concat, type Device, layerNorm, linear, permute, type Tensor } from "@lvsa/runtime";
import { timestepEmbedding } from "../embeddings.js";
import { feedForward } from "../feed-forward.js";
import type { Parameters } from "../parameters.js";
import type { Tap } from "./forward-hooks.js";

const REFINER_EPS = 1e-6;
/** The default of LayerNorm, which the glyph and image projections do not override. */
const PROJECTION_EPS = 1e-5;

/** Rows of `cond_type_embed`. */
const TYPE = { text: 0, glyph: 1, image: 2 } as const;

export interface HunyuanVideo15Sources {
  /** Qwen embeddings `[1, L, text_embed_dim]`, at least one row. */
  readonly text: Tensor;
  /** ByT5 embeddings `[1, L2, text_embed_2_dim]`; none when the prompt quotes no text. */
  readonly glyph?: Tensor | undefined;
  /** Image embeddings `[1, N, image_embed_dim]`; none for text to video. */
  readonly image?: Tensor | undefined;
}

export interface HunyuanVideo15EncoderOptions {
  readonly heads: number;
  readonly refinerLayers: number;
  /** Features of the timestep, `[1, 256]`. */
  readonly timeFeatures: Tensor;
  readonly tap?: Tap | undefined;
}

/** The encoder stream `[1, N + L2 + L, C]` f32 in the order image, glyph, text. */
export function encoderStream(
  device: Device,
  parameters: Parameters,
  sources: HunyuanVideo15Sources,
  options: HunyuanVideo15EncoderOptions,
): Tensor {
  const types = parameters.get("cond_type_embed.weight");
  const typed = (x: Tensor, type: number) => add(device, x, types.rows(type, type + 1).reshape([x.dim(2)]));
  const parts: Tensor[] = [];
  if (sources.image && sources.image.dim(1) > 0) {
    const image = projectImage(device, parameters.scoped("image_embedder."), sources.image);
    options.tap?.("image_projected", image);
    parts.push(typed(image, TYPE.image));
  }
  if (sources.glyph && sources.glyph.dim(1) > 0) {
    const glyph = projectGlyph(device, parameters.scoped("context_embedder_2."), sources.glyph);
    options.tap?.("glyph_projected", glyph);
    parts.push(typed(glyph, TYPE.glyph));
  }
  const text = refineText(device, parameters.scoped("context_embedder."), sources.text, options);
  options.tap?.("text_refined", text);
  parts.push(typed(text, TYPE.text));
  const stream = parts.length === 1 ? parts[0]! : concat(device, parts, 1);
  options.tap?.("encoder_in", stream);
  return stream;
}

function projectGlyph(device: Device, p: Parameters, glyph: Tensor): Tensor {
  let x = layerNorm(device, glyph, {
    weight: p.get("norm.weight"),
    bias: p.get("norm.bias"),
    eps: PROJECTION_EPS,
    outDtype: "f32",
  });
  for (const name of ["linear_1", "linear_2"]) {
    x = linear(device, x, p.get(`${name}.weight`), { bias: p.get(`${name}.bias`), activation: "gelu" });
  }
  return linear(device, x, p.get("linear_3.weight"), { bias: p.get("linear_3.bias") });
}

function projectImage(device: Device, p: Parameters, image: Tensor): Tensor {
  const norm = (x: Tensor, name: string) =>
    layerNorm(device, x, {
      weight: p.get(`${name}.weight`),
      bias: p.get(`${name}.bias`),
      eps: PROJECTION_EPS,
      outDtype: "f32",
    });
  const hidden = linear(device, norm(image, "norm_in"), p.get("linear_1.weight"), {
    bias: p.get("linear_1.bias"),
    activation: "gelu",
  });
  const projected = linear(device, hidden, p.get("linear_2.weight"), { bias: p.get("linear_2.bias") });
  return norm(projected, "norm_out");
}

function refineText(
  device: Device,
  p: Parameters,
  text: Tensor,
  options: HunyuanVideo15EncoderOptions,
): Tensor {
  // 1. Time and pooled text
  const condition = p.scoped("time_text_embed.");
  const time = timestepEmbedding(options.timeFeatures, condition.scoped("timestep_embedder."));
  const pooledHidden = linear(
    device,
    meanOfRows(device, text),
    condition.get("text_embedder.linear_1.weight"),
    {
      bias: condition.get("text_embedder.linear_1.bias"),
      activation: "silu",
    },
  );
  const temb = linear(device, pooledHidden, condition.get("text_embedder.linear_2.weight"), {
    bias: condition.get("text_embedder.linear_2.bias"),
    residual: time,
  });
  const activated = activate(device, temb, "silu");
  // 2. Refiner blocks
  let hidden = linear(device, text, p.get("proj_in.weight"), {
    bias: p.get("proj_in.bias"),
    outDtype: "f32",
  });
  for (let i = 0; i < options.refinerLayers; i++) {
    const previous = hidden;
    const block = p.scoped(`token_refiner.refiner_blocks.${i}.`);
    hidden = device.scope(() => refinerBlock(device, block, previous, activated, options.heads));
  }
  return hidden;
}

function refinerBlock(
  device: Device,
  p: Parameters,
  hidden: Tensor,
  activatedTemb: Tensor,
  heads: number,
): Tensor {
  const dim = hidden.dim(2);
  const shape = [1, hidden.dim(1), heads, dim / heads];
  const norm = (x: Tensor, name: string) =>
    layerNorm(device, x, {
      weight: p.get(`${name}.weight`),
      bias: p.get(`${name}.bias`),
      eps: REFINER_EPS,
    });
  const gates = linear(device, activatedTemb, p.get("norm_out.linear.weight"), {
    bias: p.get("norm_out.linear.bias"),
  }).reshape([2, dim]);
  // 1. Self attention over the valid text
  const normed = norm(hidden, "norm1");
  const project = (name: string) =>
    linear(device, normed, p.get(`attn.${name}.weight`), { bias: p.get(`attn.${name}.bias`) }).reshape(shape);
  const attended = attention(device, {
    query: project("to_q"),
    key: project("to_k"),
    value: project("to_v"),
  });
  const afterAttention = linear(
    device,
    attended.output.reshape(hidden.shape),
    p.get("attn.to_out.0.weight"),
    {
      bias: p.get("attn.to_out.0.bias"),
      residual: hidden,
      gate: gates.rows(0, 1),
    },
  );
  // 2. Feed-forward
  return feedForward(device, norm(afterAttention, "norm2"), p.scoped("ff."), {
    activation: "silu",
    residual: afterAttention,
    gate: gates.rows(1, 2),
    outDtype: "f32",
  });
}

/** `[1, L, C]` to `[1, C]` f32. */
function meanOfRows(device: Device, x: Tensor): Tensor {
  const [, rows, width] = x.shape as [number, number, number];
  const weights = device.upload(new Float32Array(rows).fill(1 / rows), [1, rows]);
  const columns = permute(device, x.reshape([rows, width]), [1, 0]);
  return linear(device, columns, weights, { outDtype: "f32" }).reshape([1, width]);
}
