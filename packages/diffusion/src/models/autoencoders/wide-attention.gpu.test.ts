/** Attention as wide as a feature map, where keys are so many that values are added a slice at a time. */
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { wideAttention } from "./wide-attention.js";

/** So wide that a slice of values (32 MiB) holds 1024 keys. */
const WIDTH = 8192;
const QUERIES = 6;
const KEYS = 1100;

it("adds the values of all slices, for rows that see different keys", async () => {
  using device = await testDevice();
  const [q, k, v] = [QUERIES, KEYS, KEYS].map((rows, index) => seededNormal(rows * WIDTH, index + 1)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const rows = [
    { queryStart: 0, queryEnd: 2, keyStart: 0, keyEnd: 900 },
    { queryStart: 2, queryEnd: QUERIES, keyStart: 10, keyEnd: KEYS },
  ];
  const expected = new Float32Array(QUERIES * WIDTH);
  for (const { queryStart, queryEnd, keyStart, keyEnd } of rows) {
    for (let i = queryStart; i < queryEnd; i++) {
      const scores = Array.from({ length: keyEnd - keyStart }, (_, j) => {
        let sum = 0;
        for (let c = 0; c < WIDTH; c++) sum += q[i * WIDTH + c]! * k[(keyStart + j) * WIDTH + c]!;
        return sum / Math.sqrt(WIDTH);
      });
      const most = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - most));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const row = new Float64Array(WIDTH);
      for (const [j, weight] of weights.entries()) {
        for (let c = 0; c < WIDTH; c++) row[c]! += (weight / total) * v[(keyStart + j) * WIDTH + c]!;
      }
      expected.set(row, i * WIDTH);
    }
  }
  const [query, key, value] = [q, k, v].map((data) => device.upload(data, [data.length / WIDTH, WIDTH]));
  const output = await device.read(wideAttention(device, query!, key!, value!, rows));
  // f32 sums of up to 8192 products, against float64.
  expect(relativeL2(output, expected)).toBeLessThan(1e-5);
});
