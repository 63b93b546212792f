/** That every engine that is installed does the same work as ours; how fast is printed, not judged. */
import type { Device } from "@lvsa/runtime";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { benchPeers, SAME_WORK } from "./bench-peers.js";
import { createWorkload } from "./engine.js";
import { onnxModel, onnxOperator } from "./onnx-model.js";
import { createOurEngines, OURS } from "./our-engine.js";
import { PEERS } from "./peers.js";
import { peerTable } from "./table.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const matmul = { m: 50, k: 96, n: 70 };
const attention = { length: 100, heads: 2, headDim: 64 };

test("engines give the same numbers; those that are missing say why", async () => {
  const before = device.memory().liveTensors;
  const bench = await benchPeers(device, { matmul: [matmul], attention, minMilliseconds: 1 });
  console.log(peerTable(bench));
  for (const row of bench.rows) {
    expect(row.gflops).toBeGreaterThan(0);
    expect(row.cpuMilliseconds).toBeGreaterThan(0);
    if (row.engine === "onnxruntime-node" && row.kernel === "attention") {
      // Its FlashAttention shader is off by percents on llvmpipe, where its processor provider agrees with float64
      // to 1e-7 on the same model. Elsewhere it may be right: what must hold is that a wrong row gets no ratio.
      expect(row.ratio === undefined).toBe(!row.correct);
      continue;
    }
    expect(row.difference, `${row.kernel} ${row.engine}`).toBeLessThanOrEqual(SAME_WORK);
    expect(row.ratio).toBeGreaterThan(0);
  }
  for (const reason of bench.missing)
    console.warn(`skipped: ${reason} (pnpm --filter @lvsa/benchmarks peers)`);
  const packages = new Set(bench.rows.map((row) => row.engine.split(",")[0]));
  expect(packages.size + bench.missing.length).toBe(1 + Object.keys(PEERS).length);
  expect(device.memory().liveTensors).toBe(before);
});

test("ours, that others are held to, agrees with float64", async () => {
  const work = createWorkload(matmul, attention);
  const engines = createOurEngines(device, work);
  for (const engine of engines) {
    expect(engine.name).toContain(OURS);
    const y = await engine.matmul!.result();
    const o = await engine.attention!.result();
    // Row 7 of each: f32 sums of 96 and 100 terms of unit size.
    for (let n = 0; n < matmul.n; n++) {
      let sum = 0;
      for (let k = 0; k < matmul.k; k++) sum += work.x[7 * matmul.k + k]! * work.w[k * matmul.n + n]!;
      expect(Math.abs(y[7 * matmul.n + n]! - sum)).toBeLessThan(1e-5);
    }
    const at = (token: number, d: number) => (token * attention.heads + 1) * attention.headDim + d;
    const weights = Array.from({ length: attention.length }, (_, token) => {
      let score = 0;
      for (let d = 0; d < attention.headDim; d++) score += work.query[at(7, d)]! * work.key[at(token, d)]!;
      return Math.exp(score / Math.sqrt(attention.headDim));
    });
    const total = weights.reduce((sum, w) => sum + w, 0);
    for (let d = 0; d < attention.headDim; d++) {
      const want = weights.reduce((sum, w, token) => sum + (w / total) * work.value[at(token, d)]!, 0);
      expect(Math.abs(o[at(7, d)]! - want)).toBeLessThan(1e-5);
    }
    await engine.dispose();
  }
});

test("an ONNX file has the lengths and numbers that protobuf asks for", () => {
  const value = { name: "a", shape: [300] };
  const bytes = onnxModel(
    onnxOperator({ type: "Neg", inputs: [value], output: { name: "b", shape: [300] } }),
  );
  // Field 1, ir_version 8; field 7, the graph, of 52 bytes.
  expect([...bytes.subarray(0, 4)]).toEqual([8, 8, 58, 52]);
  // 300 as a varint: 0xac 0x02.
  expect([...bytes].join(" ")).toContain("10 3 8 172 2");
  expect(bytes.length).toBe(4 + 52 + 6 + 19);
});
