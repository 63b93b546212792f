/** Every arrangement of the matrix kernel compiles and fits the memory that it says it takes. */
import { kernelSource } from "@lvsa/runtime";
import { ShaderCompiler, workgroupVariables } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attentionFamily } from "./attention.wgsl.js";
import type { AttentionShape } from "./attention-common.wgsl.js";
import { type MatrixAttention, matrixAttentionBytes } from "./attention-matrix.wgsl.js";

let compiler: ShaderCompiler;
beforeAll(async () => {
  compiler = await ShaderCompiler.open();
});
afterAll(() => compiler.dispose());

const arrangements: readonly MatrixAttention[] = [
  { subgroups: 8, keys: 32, split: 2 },
  { subgroups: 4, keys: 32, split: 2 },
  { subgroups: 4, keys: 32 },
  { subgroups: 2, keys: 64, split: 2 },
];

test.each(arrangements)("%o", async (arrangement) => {
  for (const headDim of [32, 64, 96, 128]) {
    const shape: AttentionShape = {
      headDim,
      ...{ query: "f16", key: "f16", value: "f16", output: "f16" },
      ...{ context: { key: "f16", value: "f16" }, rows: true, causal: false, relativeBias: false },
      logSumExp: true,
    };
    const source = kernelSource(attentionFamily.kernel(shape, { kind: "matrix", ...arrangement }));
    expect(await compiler.errors(source)).toEqual([]);
    const bytes = [...workgroupVariables(source).values()].reduce((a, b) => a + b, 0);
    expect(bytes).toBe(matrixAttentionBytes(headDim, arrangement));
    expect(bytes).toBeLessThanOrEqual(49_152);
  }
});
