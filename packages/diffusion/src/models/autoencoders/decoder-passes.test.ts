/** How often decoders pass over memory on a GPU that multiplies in f16. Counted on a device that computes nothing. */
import { countingGpu, type Device } from "@lvsa/runtime";
import { PRETEND_DEVICES } from "@lvsa/runtime/testing";
import { expect, test } from "vitest";
import { findKnownModel } from "../../catalog/known-models.js";
import { StandInModel } from "../../rehearsal/stand-in-model.js";

/** Names of the kernels from the tenth frame to the eighteenth, when all memory of frames before is there. */
async function kernelsOfFrames(name: string, math: "exact" | "fast"): Promise<string[]> {
  const { info } = countingGpu().device;
  const capable = { ...info, ...PRETEND_DEVICES.nvidia!, limits: info.limits };
  const { device } = countingGpu({ info: capable, math });
  const model = new StandInModel(device, findKnownModel(name)!, { numFrames: 25, height: 240, width: 416 });
  await model.loadDecoder();
  const names: string[] = [];
  let frame = 0;
  const dispatch = device.dispatch.bind(device);
  device.dispatch = ((call: Parameters<Device["dispatch"]>[0]) => {
    if (frame >= 9) names.push(call.kernel.name);
    dispatch(call);
  }) as Device["dispatch"];
  for await (const chunk of model.decode()) {
    frame += chunk.dim(1);
    chunk.dispose();
    if (frame >= 18) break;
  }
  model.dispose();
  device.dispose();
  return names;
}

test.each(["wan2.1-t2v-1.3b", "hunyuanvideo-1.5-480p-t2v", "cogvideox-5b"])(
  "%s: norms write what convolutions read, and nothing is rounded again",
  async (name) => {
    const fast = await kernelsOfFrames(name, "fast");
    const after = (first: RegExp) =>
      fast.flatMap((kernel, i) => (first.test(kernel) ? [fast[i + 1] ?? ""] : []));
    const convolutions = fast.filter((kernel) => kernel === "conv3d").length;
    expect(convolutions).toBeGreaterThan(5);
    // Directly, without a pass that rounds; norms before attention are read by linear layers.
    const direct = after(/norm/).filter((kernel) => kernel === "conv3d").length;
    const rounded = after(/norm/).filter((kernel) => kernel === "cast").length;
    expect(direct).toBeGreaterThan(convolutions / 2);
    expect(rounded).toBeLessThan(convolutions / 10);
    const exact = await kernelsOfFrames(name, "exact");
    expect(exact).not.toContain("cast");
  },
);
