/** Checks of the adapter at work in `LvsaAttentionProcessor` and in the model's dispatcher. */
import { LvsaError } from "@lvsa/runtime";
import { LvsaAttentionProcessor, type LvsaProcessorOptions } from "../adapter/lvsa-attention-processor.js";
import type { ModelAdapter } from "../adapter/model-adapter.js";
import type { AttentionCall } from "../contract/attention-processor.js";
import { denseAttention } from "../contract/dense-attention.js";
import {
  type ConformanceCheck,
  type ConformanceFixture,
  FRAMES,
  PATCHES,
  ROUNDING,
  withCall,
} from "./conformance-fixture.js";
import { check, claimedLayers, distance, same, thrown, valuesOf } from "./conformance-support.js";

export function processorChecks(fixture: ConformanceFixture): ConformanceCheck[] {
  const { adapter, device, model } = fixture;
  const processor = (options: Partial<LvsaProcessorOptions> = {}) => sparseProcessor(adapter, options);
  const dense = (call: AttentionCall) => denseAttention(call);
  const dispatched = (call: AttentionCall) => valuesOf(device, () => model.attention.run(call));
  return [
    {
      name: "differs from dense attention where frames are left out",
      run: () =>
        withCall(fixture, FRAMES, async (call) => {
          using lvsa = processor();
          const sparse = await valuesOf(device, () => lvsa.process(call, dense));
          check(lvsa.pattern?.isDense === false, "the pattern leaves no frame out");
          const full = await valuesOf(device, () => dense(call));
          check(distance(sparse[0]!, full[0]!) > 100 * ROUNDING, "sparse and dense outputs are equal");
        }),
    },
    {
      name: "falls back to exactly the dense path on another length, says so once, and refuses in strict mode",
      run: () =>
        withCall(fixture, FRAMES - 1, async (call) => {
          const lines: string[] = [];
          const clip = { latentFrames: FRAMES, patchesPerFrame: PATCHES };
          using lvsa = processor({ clip, log: (line) => lines.push(line) });
          const first = await valuesOf(device, () => lvsa.process(call, dense));
          await valuesOf(device, () => lvsa.process(call, dense));
          same(first, await valuesOf(device, () => dense(call)), 0);
          check(lines.length === 1 && lines[0]!.startsWith("[LVSA-FALLBACK]"), `log: ${lines.join(" | ")}`);
          using strict = processor({ clip, strict: true });
          const error = thrown(() => device.scope(() => ({ ...strict.process(call, dense) })));
          check(error instanceof LvsaError && error.code === "DENSE_FALLBACK", `strict mode: ${error}`);
        }),
    },
    {
      name: "installs on every sparse layer once and on no other, and lets go of all",
      run: () =>
        withCall(fixture, FRAMES, async (call) => {
          const before = await dispatched(call);
          using lvsa = processor();
          const installation = adapter.installProcessor(model, lvsa);
          try {
            const [taken, wanted] = [claimedLayers(model), [...fixture.layers]].map((names) =>
              names.sort().join(", "),
            );
            check(taken === wanted, `it takes the layers ${taken || "(none)"}; expected ${wanted}`);
            const { blocks } = installation;
            check(blocks === fixture.layers.length, `${blocks} blocks, expected ${fixture.layers.length}`);
            const during = await dispatched(call);
            check(distance(during[0]!, before[0]!) > 100 * ROUNDING, "installing changed nothing");
            using other = processor();
            const second = thrown(() => adapter.installProcessor(model, other));
            check(second instanceof LvsaError, "a second processor took the same layers");
          } finally {
            installation[Symbol.dispose]();
          }
          const left = claimedLayers(model);
          check(left.length === 0, `${left.join(", ")} stay taken`);
          same(await dispatched(call), before, 0);
        }),
    },
    {
      name: "allocates nothing beyond the index buffer over dense, and gives everything back",
      run: () =>
        withCall(fixture, FRAMES, async (call) => {
          const level = device.memory().liveBytes;
          const peak = async (compute: Parameters<typeof valuesOf>[1]) => {
            device.resetPeakMemory();
            await valuesOf(device, compute);
            return device.memory().peakBytes - level;
          };
          const full = await peak(() => dense(call));
          const lvsa = processor();
          await valuesOf(device, () => lvsa.process(call, dense));
          const index = device.memory().liveBytes - level;
          const sparse = await peak(() => lvsa.process(call, dense));
          check(index <= 4096, `the index buffers of ${FRAMES} frames take ${index} bytes`);
          check(sparse <= full + index, `peak ${sparse} bytes, dense ${full}, index buffers ${index}`);
          lvsa.dispose();
          check(device.memory().liveBytes === level, "memory stays behind");
        }),
    },
  ];
}

/** A processor whose pattern leaves out about half of `FRAMES`. */
function sparseProcessor(
  adapter: ModelAdapter,
  options: Partial<LvsaProcessorOptions>,
): LvsaAttentionProcessor {
  return new LvsaAttentionProcessor(adapter, {
    referenceLatentFrames: 5,
    temporalFactor: 1,
    config: {
      windowSize: 1,
      nFirstFrames: 1,
      keyFrameInterval: 4,
      autoKeyframes: false,
      rotateKeyframes: false,
    },
    ...options,
  });
}
