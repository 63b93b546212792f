/** Kernels that the rehearsal names, compiled side by side before the first step: no step waits for a compiler. */
import type { Device } from "@lvsa/runtime";
import { testDevice } from "@lvsa/runtime/testing";
import { expect, it, vi } from "vitest";
import { getKnownModel } from "../catalog/known-models.js";
import { rehearse } from "./rehearse-memory.js";
import { StandInModel } from "./stand-in-model.js";

const known = getKnownModel("wan2.1-t2v-1.3b");
const config = {
  ...known.components.transformer!.config,
  num_layers: 2,
  num_attention_heads: 2,
  attention_head_dim: 24,
  ffn_dim: 96,
};
const transformer = { ...known.components.transformer!, config };
const model = { ...known, components: { ...known.components, transformer } };
const clip = { numFrames: 9, height: 64, width: 64 };

/** Pipelines that two steps compile while somebody waits. */
async function compiledInSteps(device: Device): Promise<number> {
  using host = new StandInModel(device, model, clip);
  await host.loadTransformer();
  const compile = vi.spyOn(device.gpu, "createComputePipeline");
  try {
    for (let index = 0; index < 2; index++) await host.forward({ index, count: 2, generation: 0 });
    return compile.mock.calls.length;
  } finally {
    compile.mockRestore();
  }
}

it("none is left for the steps, where there were many", async () => {
  using cold = await testDevice();
  expect(await compiledInSteps(cold)).toBeGreaterThan(8);

  using device = await testDevice();
  const { kernels } = await rehearse({ model, ...clip, device });
  const aside = vi.spyOn(device.gpu, "createComputePipelineAsync");
  await device.warm(kernels);
  expect(aside).toHaveBeenCalledTimes(kernels.length);
  aside.mockRestore();
  expect(await compiledInSteps(device)).toBe(0);
});
