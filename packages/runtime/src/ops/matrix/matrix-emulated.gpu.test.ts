/** Products by subgroup matrices, in every arrangement of the tile: on matrices where the device has them, else emulated. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Device, decodeFloats, encodeFloats, packConvWeight } from "../../index.js";
import { matrixTestDevice } from "../../testing/emulate-matrices.js";
import { relativeL2, seededNormal } from "../../testing.js";
import { conv3d } from "../conv/conv3d.js";
import { linear } from "../linear/linear.js";
import { linearReference } from "../linear/linear.reference.js";
import { type MatrixTile, matrixBytes } from "./matrix-tile.wgsl.js";

/** f16 operands are given: only sums in another order differ. */
const SUMS = 1e-6;

let device: Device | undefined;
beforeAll(async () => {
  device = await matrixTestDevice();
});
afterAll(() => device?.dispose());

const halves = (count: number, seed: number, gain = 1) =>
  decodeFloats(encodeFloats(seededNormal(count, seed, gain), "f16"), "f16");

const tiles: readonly MatrixTile[] = [
  { tileM: 64, tileN: 64, subgroupsM: 2, subgroupsN: 2 },
  { tileM: 32, tileN: 32, subgroupsM: 2, subgroupsN: 1, step: 64 },
];

test.each(tiles)("linear %o", async (tile) => {
  if (!device) return;
  expect(matrixBytes(tile)).toBeLessThanOrEqual(device.info.limits.maxComputeWorkgroupStorageSize);
  for (const { M, N, K, whole } of [
    { M: 70, N: 76, K: 40, whole: false },
    { M: 65, N: 130, K: 192, whole: true },
  ]) {
    const x = halves(M * K, 1);
    const weight = halves(N * K, 2, 1 / Math.sqrt(K));
    const bias = seededNormal(N, 3);
    const y = device.scope(() =>
      linear(device!, device!.upload(x, [M, K], "f16"), device!.upload(weight, [N, K], "f16"), {
        bias: device!.upload(bias, [N]),
        outDtype: "f32",
        tuning: { variant: { kind: "matrix", ...tile, ...(whole ? { whole } : {}) } },
      }),
    );
    const want = linearReference({ M, N, K, x, weight, bias } as Parameters<typeof linearReference>[0]);
    expect(relativeL2(await device.read(y), want)).toBeLessThan(SUMS);
    y.dispose();
  }
});

test.each(tiles.slice(1))("conv3d %o", async (tile) => {
  if (!device) return;
  const [frames, height, width, I, O] = [2, 7, 9, 40, 36];
  const run = (variant: object | undefined) =>
    device!.scope(() => {
      const x = device!.upload(halves(frames * height * width * I, 1), [1, frames, height, width, I], "f16");
      const history = device!.upload(halves(height * width * I, 2), [1, 1, height, width, I], "f16");
      const raw = device!.upload(halves(O * I * 27, 3, 1 / Math.sqrt(27 * I)), [O, I, 3, 3, 3], "f16");
      const weight = packConvWeight(device!, raw);
      const y = conv3d(device!, x, weight, {
        padding: { time: [2, 0], height: [1, 1], width: [1, 1] },
        history,
        outDtype: "f32",
        tuning: variant ? { variant: variant as never } : { rule: "tile" },
      });
      weight.dispose();
      return y;
    });
  const [got, want] = [run({ kind: "matrix", ...tile }), run(undefined)];
  expect(relativeL2(await device.read(got), await device.read(want))).toBeLessThan(SUMS);
  for (const t of [got, want]) t.dispose();
});
