/** Sums by the GPU against sums in float64: types, parts of rows, several LoRAs at once, streamed blocks. */

import type { Device } from "@lvsa/runtime";
import {
  encodeSafetensors,
  memorySource,
  openSafetensors,
  uploadMerged,
  type WeightSource,
  widen,
} from "@lvsa/runtime";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HeldWeights } from "../models/held-weights.js";
import type { LoraChange } from "./lora-file.js";
import { type AppliedChange, type MergedDType, MergedWeights } from "./merged-weights.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const NAME = "blocks.0.attn1.to_q.weight";
/** Steps of a type between 1 and 2. */
const STEP = { F32: 2 ** -23, F16: 2 ** -10, BF16: 2 ** -7 } as const;

const numbers = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(1.3 * i + seed) * 0.5);

async function source(tensors: Parameters<typeof encodeSafetensors>[0]): Promise<WeightSource> {
  return openSafetensors(memorySource(encodeSafetensors(tensors), "test.safetensors"));
}

interface Sizes {
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
}

/** Two products, one of them on the middle third of the rows, from the last third of its own; and plain numbers. */
async function changesOf({ rows, columns, rank }: Sizes): Promise<AppliedChange[]> {
  const f32 = (data: Float32Array, shape: number[]) => ({ dtype: "F32" as const, shape, data });
  const file = await source({
    up: f32(numbers(rows * rank, 1), [rows, rank]),
    down: f32(numbers(rank * columns, 2), [rank, columns]),
    diff: f32(numbers(rows * columns, 3), [rows, columns]),
  });
  const change = (keys: LoraChange["keys"], target: LoraChange["target"], from: LoraChange["source"]) =>
    ({ parameter: NAME, keys, target, source: from, factor: 0.37 }) as LoraChange;
  return [
    { change: change(["up", "down"], [0, 1], [0, 1]), source: file, weight: 0.8 },
    { change: change(["up", "down"], [1, 3], [2, 3]), source: file, weight: -1.1 },
    { change: change(["diff"], [0, 1], [0, 1]), source: file, weight: 0.25 },
  ];
}

describe.each(["F32", "F16", "BF16"] as const)("weights in %s", (dtype) => {
  it.each([
    [{ rows: 3, columns: 1, rank: 9 }, "f32"],
    [{ rows: 300, columns: 11, rank: 5 }, "stored"],
    [{ rows: 300, columns: 11, rank: 5 }, "f32"],
    [{ rows: 129, columns: 64, rank: 64 }, "stored"],
  ] as const)("are the sum in float64, rounded once: %o as %s", async (sizes: Sizes, type: MergedDType) => {
    const { rows, columns } = sizes;
    const base = await source({
      [NAME]: { dtype, shape: [rows, columns], data: numbers(rows * columns, 0) },
    });
    const weights = new MergedWeights(base, new Map([[NAME, await changesOf(sizes)]]), type);
    const held = await HeldWeights.read(weights, [NAME]);
    const { dtype: readAs } = weights.info(NAME);
    const expected = widen(await weights.read(NAME), readAs, NAME);
    for (const one of [weights, held, weights.withPrefix("blocks.")]) {
      const name = one === weights || one === held ? NAME : NAME.slice("blocks.".length);
      // Parts of 128 rows.
      using tensor = await uploadMerged(device, one, name, { chunkBytes: 1 });
      // Tensors of few rows are read as they are.
      if (rows < 9) {
        expect(tensor).toBeUndefined();
        continue;
      }
      expect(tensor!.dtype).toBe(readAs.toLowerCase());
      const got = await device.read(tensor!);
      // A sum in f32 may lie on the other side of a border between two numbers of the type.
      let worst = 0;
      for (let i = 0; i < got.length; i++) {
        const size = Math.max(1, Math.abs(expected[i]!));
        worst = Math.max(worst, Math.abs(got[i]! - expected[i]!) / size);
      }
      const step = readAs === "F32" ? STEP.F32 : STEP[dtype];
      expect(worst).toBeLessThanOrEqual(readAs === "F32" ? 1e-6 : step);
      // And it does so rarely: a second rounding would be seen.
      const others = got.filter((value, i) => value !== expected[i]!).length;
      if (readAs !== "F32") expect(others / got.length).toBeLessThan(0.01);
    }
  });
});
