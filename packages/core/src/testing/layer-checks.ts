/** Checks of the steps of one layer: projections, positions, outputs. */
import { affine, slice, type Tensor } from "@lvsa/runtime";
import type { Qkv } from "../adapter/layer-steps.js";
import { LvsaAttentionProcessor } from "../adapter/lvsa-attention-processor.js";
import type { AttentionCall, ProjectedStreams } from "../contract/attention-processor.js";
import { denseAttention, projectStreams } from "../contract/dense-attention.js";
import {
  type ConformanceCheck,
  type ConformanceFixture,
  FRAMES,
  PATCHES,
  ROUNDING,
  withCall,
} from "./conformance-fixture.js";
import { check, distance, same, valuesOf, withEpilogues } from "./conformance-support.js";

export function layerChecks(fixture: ConformanceFixture): ConformanceCheck[] {
  const { adapter, device } = fixture;
  const dense = (call: AttentionCall) => denseAttention(call);
  /** A pattern in which every frame sees every frame. */
  const everything = () =>
    new LvsaAttentionProcessor(adapter, {
      referenceLatentFrames: FRAMES,
      temporalFactor: 1,
      config: {
        windowSize: FRAMES,
        nFirstFrames: 0,
        keyFrameInterval: 0,
        autoKeyframes: false,
        rotateKeyframes: false,
      },
    });
  return [
    {
      name: "splits Q, K and V into heads, one row per video token",
      run: () =>
        withCall(fixture, FRAMES, async (call) => {
          device.scope(() => {
            const { query, key, value } = adapter.extractQkv(call);
            for (const [name, t] of Object.entries({ query, key, value })) {
              check(t.shape.length === 4, `${name} has shape [${t.shape}]`);
              check(t.dim(1) === FRAMES * PATCHES, `${name} has ${t.dim(1)} tokens, not ${FRAMES * PATCHES}`);
            }
            check(query.dim(2) % key.dim(2) === 0, `${query.dim(2)} query heads, ${key.dim(2)} key heads`);
          });
        }),
    },
    {
      name: "equals dense attention where the pattern attends to everything",
      run: () =>
        withCall(fixture, FRAMES, async (call) => {
          using lvsa = everything();
          const sparse = await valuesOf(device, () => lvsa.process(call, dense));
          check(lvsa.pattern?.isDense === true, "the pattern of a full window is not dense");
          same(sparse, await valuesOf(device, () => dense(call)), ROUNDING);
        }),
    },
    {
      name: "adds the call's residuals, and takes what a hook has projected",
      run: () =>
        withCall(fixture, FRAMES, async (call) => {
          using lvsa = everything();
          const plain = await valuesOf(device, () => dense(call));
          const residual = withEpilogues(call);
          const added = await valuesOf(device, () => dense(residual));
          check(distance(added[0]!, plain[0]!) > 100 * ROUNDING, "the layer itself adds no residual");
          same(await valuesOf(device, () => lvsa.process(residual, dense)), added, ROUNDING);
          // Queries and keys are rotated in place: every run projects anew.
          const hooked = () => ({ ...call, projected: doubled(projectStreams(call)) });
          const doubledValues = await valuesOf(device, () => dense(hooked()));
          same(await valuesOf(device, () => lvsa.process(hooked(), dense)), doubledValues, ROUNDING);
        }),
    },
    {
      name: "rotates a rank's share as the whole clip is rotated",
      run: () =>
        withCall(fixture, FRAMES, async (call) => {
          check(call.rotary !== undefined, "the fixture's call has no rotary tables");
          for (const worldSize of [2, 3]) {
            const tokens = (FRAMES * PATCHES) / worldSize;
            for (let rank = 0; rank < worldSize; rank++) {
              const shard = { rank, worldSize };
              const rows = (x: Tensor) => slice(device, x, 1, rank * tokens, (rank + 1) * tokens);
              const part = ({ query, key, value }: Qkv) => ({
                query: rows(query),
                key: rows(key),
                value: rows(value),
              });
              const whole = await valuesOf(device, () => {
                const qkv = adapter.extractQkv(call);
                adapter.applyRotary(call, qkv);
                const { query, key } = part(qkv);
                return [query, key];
              });
              const own = await valuesOf(device, () => {
                const qkv = part(adapter.extractQkv(call));
                adapter.applyRotary(call, qkv, shard);
                return [qkv.query, qkv.key];
              });
              same(own, whole, 0);
              // The same by the call that a rank of a host would make.
              const patched = await valuesOf(device, () => {
                const qkv = part(adapter.extractQkv(call));
                adapter.applyRotary(adapter.patchRotaryForCp(call, shard), qkv);
                return [qkv.query, qkv.key];
              });
              same(patched, whole, 0);
            }
          }
        }),
    },
  ];

  function doubled({ query, key, value, encoder }: ProjectedStreams): ProjectedStreams {
    const twice = { query, key, value: affine(device, value, { scale: 2 }) };
    return encoder
      ? { ...twice, encoder: { ...encoder, value: affine(device, encoder.value, { scale: 2 }) } }
      : twice;
  }
}
