/** Inputs of the HunyuanVideo 1.5 transformer from a golden case: padded rows are left out. */
import type { Device, Tensor } from "@lvsa/runtime";
import { floatTensor, type GoldenTensors } from "@lvsa/runtime/testing";
import type { HunyuanVideo15ForwardInputs } from "../models/transformers/transformer-hunyuan-video15.js";

/** Rows of `[1, L, C]` whose mask is 1, or undefined when there are none. */
export function validRows(
  device: Device,
  tensors: GoldenTensors,
  name: string,
  maskName: string,
): Tensor | undefined {
  const { data, shape } = floatTensor(tensors, name);
  const mask = floatTensor(tensors, maskName).data;
  const width = shape[2]!;
  const kept = Array.from(mask.keys()).filter((row) => mask[row]! > 0);
  if (kept.length === 0) return undefined;
  const rows = new Float32Array(kept.length * width);
  for (const [i, row] of kept.entries()) rows.set(data.subarray(row * width, (row + 1) * width), i * width);
  return device.upload(rows, [1, kept.length, width]);
}

/** All inputs under a prefix; the caller disposes them with `disposeInputs`. */
export function hunyuanInputs(
  device: Device,
  tensors: GoldenTensors,
  prefix: string,
): HunyuanVideo15ForwardInputs {
  const text = validRows(device, tensors, `${prefix}.text`, `${prefix}.text_mask`);
  if (!text) throw new Error(`${prefix}: no valid text`);
  const latents = floatTensor(tensors, `${prefix}.hidden_states`);
  const image = floatTensor(tensors, `${prefix}.image_embeds`);
  // As in diffusers: image embeddings that are all zero mean text to video.
  const hasImage = image.data.some((x) => x !== 0);
  return {
    latents: device.upload(latents.data, latents.shape),
    timestep: floatTensor(tensors, `${prefix}.timestep`).data[0]!,
    encoderHiddenStates: text,
    encoderHiddenStates2: validRows(device, tensors, `${prefix}.glyph`, `${prefix}.glyph_mask`),
    imageEmbeds: hasImage ? device.upload(image.data, image.shape) : undefined,
  };
}

export function disposeInputs(inputs: HunyuanVideo15ForwardInputs): void {
  for (const value of Object.values(inputs)) (value as { dispose?: () => void } | undefined)?.dispose?.();
}
