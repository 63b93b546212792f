/** How often a block passes over queries and keys. Counted on a device that computes nothing. */
import { countingGpu, type Device } from "@lvsa/runtime";
import { expect, test } from "vitest";
import { findKnownModel } from "../../catalog/known-models.js";
import { StandInModel } from "../../rehearsal/stand-in-model.js";

const count = (names: readonly string[], name: RegExp) => names.filter((one) => name.test(one)).length;

/** Kernels of a forward pass, by name. */
async function kernelsOfForward(name: string, numFrames: number): Promise<string[]> {
  const { device } = countingGpu();
  const model = new StandInModel(device, findKnownModel(name)!, { numFrames, height: 240, width: 416 });
  if (model.encoders.includes("transformer")) await model.encode("transformer");
  await model.loadTransformer();
  const names: string[] = [];
  const dispatch = device.dispatch.bind(device);
  device.dispatch = ((call: Parameters<Device["dispatch"]>[0]) => {
    names.push(call.kernel.name);
    dispatch(call);
  }) as Device["dispatch"];
  await model.forward({ index: 0, count: 1, generation: 0 });
  model.dispose();
  device.dispose();
  return names;
}

test.each([
  ["wan2.1-t2v-1.3b", 30, /^rms_norm_rotary$/],
  ["hunyuanvideo-1.5-480p-t2v", 54, /^rms_norm_rotary$/],
  ["cogvideox-5b", 42, /^layer_norm_rotary$/],
  ["cosmos3-edge", 28, /^rms_norm_rotary$/],
] as const)(
  "%s: queries and keys are normalised and rotated in one pass each",
  async (name, layers, fused) => {
    const names = await kernelsOfForward(name, 9);
    expect(count(names, fused)).toBe(2 * layers);
    expect(count(names, /^rotary$/)).toBe(0);
  },
);
