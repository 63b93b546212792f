/** Inputs of the HunyuanVideo 1.5 transformer from a golden case: padded rows are left out. */
import type { Device, Tensor } from "@lvsa/runtime";
import { floatTensor, type GoldenTensors } from "@lvsa/runtime/testing";
import type { HunyuanVideo15ForwardInputs } from "../models/transformers/transformer-hunyuan-video15.js";
import type { HostTensor } from "../pipelines/video-pipeline.js";

/** Rows of `[1, L, C]` whose mask is 1, as embeddings that a caller gives, or undefined when there are none. */
export function validEmbeds(
  tensors: GoldenTensors,
  name: string,
  maskName = `${name}_mask`,
): HostTensor | undefined {
  const { data, shape } = floatTensor(tensors, name);
  const mask = floatTensor(tensors, maskName).data;
  const width = shape[2]!;
  const kept = data.filter((_, i) => mask[Math.floor(i / width)]! > 0);
  return kept.length === 0 ? undefined : { data: kept, shape: [1, kept.length / width, width] };
}

/** The same on the GPU. */
export function validRows(
  device: Device,
  tensors: GoldenTensors,
  name: string,
  maskName: string,
): Tensor | undefined {
  const rows = validEmbeds(tensors, name, maskName);
  return rows && device.upload(rows.data, rows.shape);
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
    timestepR: tensors[`${prefix}.timestep_r`] && floatTensor(tensors, `${prefix}.timestep_r`).data[0]!,
    encoderHiddenStates: text,
    encoderHiddenStates2: validRows(device, tensors, `${prefix}.glyph`, `${prefix}.glyph_mask`),
    imageEmbeds: hasImage ? device.upload(image.data, image.shape) : undefined,
  };
}

export function disposeInputs(inputs: HunyuanVideo15ForwardInputs): void {
  for (const value of Object.values(inputs)) (value as { dispose?: () => void } | undefined)?.dispose?.();
}
