/** A step on a real adapter creates what one block needs, once: many cheap blocks would show what is made anew. */
import { testDevice } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { getKnownModel } from "../catalog/known-models.js";
import { rehearseMemory } from "./rehearse-memory.js";
import { StandInModel } from "./stand-in-model.js";

const known = getKnownModel("wan2.1-t2v-1.3b");
const config = {
  ...known.components.transformer!.config,
  num_layers: 60,
  num_attention_heads: 2,
  attention_head_dim: 24,
  ffn_dim: 96,
};
const transformer = { ...known.components.transformer!, config };
const model = { ...known, components: { ...known.components, transformer } };
const clip = { numFrames: 33, height: 128, width: 128 };

it("creates no buffer after the first step, and in all no more than 1.2 times the planned peak", async () => {
  using device = await testDevice();
  using host = new StandInModel(device, model, clip);
  await host.loadTransformer();
  await device.releaseMemory();
  const weights = device.memory();
  let afterTwoBlocks = weights;
  const forward = (index: number) =>
    host.forward(
      { index, count: 4, generation: 0 },
      {
        onBlock: (done) => {
          if (index === 0 && done === 2) afterTwoBlocks = device.memory();
        },
      },
    );
  await forward(0);
  const first = device.memory();
  // The end of the pass (norm, projection, read-back) is small beside a block.
  expect(first.createdBytes - afterTwoBlocks.createdBytes).toBeLessThan(
    0.2 * (afterTwoBlocks.createdBytes - weights.createdBytes),
  );
  for (let index = 1; index < 4; index++) await forward(index);
  const last = device.memory();
  expect(last.createdBuffers - first.createdBuffers).toBe(0);
  expect(last.createdBytes - first.createdBytes).toBe(0);
  const { phases } = await rehearseMemory({ model, ...clip, device });
  const planned = phases.find(({ name }) => name === "denoising")!.bytes;
  expect(last.createdBytes).toBeLessThanOrEqual(1.2 * planned);
  expect(last.peakBytes).toBeLessThanOrEqual(1.05 * planned);
});
