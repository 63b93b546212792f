/** Layers with their weights, by the names that these have in the checkpoint: `Linear`, `LayerNorm`, `Conv3d` of patches. */
import { type LayerNormOptions, type LinearOptions, layerNorm, linear, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "./parameters.js";

/** `Linear`, with a bias where the checkpoint has one. `[..., N]`. See `linear`. */
export function linearLayer(
  parameters: Parameters,
  name: string,
  x: Tensor,
  options: LinearOptions = {},
): Tensor {
  return linear(parameters.device, x, parameters.get(`${name}.weight`), {
    bias: parameters.optional(`${name}.bias`),
    ...options,
  });
}

/** `LayerNorm`, with the weight and bias that the checkpoint has, or without. See `layerNorm`. */
export function layerNormLayer(
  parameters: Parameters,
  name: string,
  x: Tensor,
  options: LayerNormOptions,
): Tensor {
  return layerNorm(parameters.device, x, {
    weight: parameters.optional(`${name}.weight`),
    bias: parameters.optional(`${name}.bias`),
    ...options,
  });
}

/** A `Conv3d` or `Conv2d` whose kernel equals its stride, on the patches that it would cut. `[1, tokens, N]` f32. */
export function patchLayer(
  parameters: Parameters,
  name: string,
  patches: Tensor,
  options: LinearOptions = {},
): Tensor {
  const weight = parameters.get(`${name}.weight`);
  const flat = weight.reshape([weight.dim(0), weight.size / weight.dim(0)]);
  const bias = parameters.optional(`${name}.bias`);
  return linear(parameters.device, patches, flat, { bias, outDtype: "f32", ...options });
}
