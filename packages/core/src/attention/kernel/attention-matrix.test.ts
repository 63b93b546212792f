/** Every arrangement of the matrix kernel compiles, fits the memory that it says it takes, and is of whole matrices. */
import { kernelSource, MATRIX_LOAD, type MatrixProduct, matrixProduct, productOf } from "@lvsa/runtime";
import { PRETEND_DEVICES, ShaderCompiler, workgroupVariables } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { attentionFamily } from "./attention.wgsl.js";
import type { AttentionShape } from "./attention-common.wgsl.js";
import { type MatrixAttention, matrixAttentionNeeds, matrixQueries } from "./attention-matrix.wgsl.js";
import { matrixAttentions } from "./attention-variant.js";

let compiler: ShaderCompiler;
beforeAll(async () => {
  compiler = await ShaderCompiler.open();
});
afterAll(() => compiler.dispose());

/** Every product that some device has, by what it is. */
const products = new Map<string, MatrixProduct>();
for (const device of Object.values(PRETEND_DEVICES)) {
  for (const component of ["f16", "f32"] as const) {
    const product = matrixProduct(device, component);
    if (typeof product !== "string") products.set(JSON.stringify(product), product);
  }
}
const widths = [32, 40, 48, 64, 80, 96, 104, 112, 128];
const chosen: readonly (MatrixAttention & { headDim: number })[] = [...products.values()].flatMap((product) =>
  widths
    .filter((headDim) => headDim % Math.max(product.n, product.k) === 0)
    .flatMap((headDim) => matrixAttentions(product, headDim).map((o) => ({ headDim, ...o }))),
);
// Measured, and slower.
const others: readonly (MatrixAttention & { headDim: number })[] = [32, 64, 96, 128].flatMap((headDim) => [
  { headDim, subgroups: 4, keys: 32, split: 2 } as const,
  { headDim, subgroups: 2, keys: 64, split: 2 } as const,
]);

test("there are arrangements for each kind of product", () => {
  const kinds = [...products.values()].map(
    ({ component, m, lanes }) => `${component} ${m} rows, ${lanes} lanes`,
  );
  expect(new Set(kinds)).toEqual(
    new Set([
      "f16 16 rows, 32 lanes",
      "f16 16 rows, 64 lanes",
      "f16 8 rows, 16 lanes",
      "f32 8 rows, 32 lanes",
    ]),
  );
});

test("every arrangement compiles, and takes the memory and the threads that it says", async () => {
  for (const { headDim, ...arrangement } of [...chosen, ...others]) {
    const dtype = productOf(arrangement).component;
    const shape: AttentionShape = {
      headDim,
      ...{ query: dtype, key: dtype, value: dtype, output: dtype },
      ...{ context: { key: dtype, value: dtype }, rows: true, causal: false, relativeBias: false },
      logSumExp: true,
    };
    const label = JSON.stringify({ headDim, ...arrangement });
    const source = kernelSource(attentionFamily.kernel(shape, { kind: "matrix", ...arrangement }));
    expect(await compiler.errors(source), label).toEqual([]);
    const { bytes, threads } = matrixAttentionNeeds(headDim, arrangement);
    expect(
      [...workgroupVariables(source).values()].reduce((a, b) => a + b, 0),
      label,
    ).toBe(bytes);
    expect(source, label).toContain(`@workgroup_size(${threads})`);
    expect(bytes, label).toBeLessThanOrEqual(49_152);
  }
});

test.each([...chosen, ...others])("matrices, lanes and loads are whole: %o", ({ headDim, ...o }) => {
  const { m, n, k, lanes } = productOf(o);
  const split = o.split ?? 1;
  const sides = lanes / m;
  const whole: readonly (readonly [what: string, count: number, of: number])[] = [
    ["subgroups that share rows", o.subgroups, split],
    ["keys of scores", o.keys, n * split],
    ["keys of weights", o.keys, k],
    ["channels of scores", headDim, k],
    ["channels of outputs", headDim, n * split],
    ["loads of channels", headDim, MATRIX_LOAD],
    ["scores of a lane", o.keys, 4 * sides],
  ];
  for (const [what, count, of] of whole) expect(count % of, what).toBe(0);
  expect(Number.isInteger(Math.log2(sides)) && sides >= 2, "lanes of a row").toBe(true);
  expect(matrixQueries(o)).toBe(m * o.subgroups);
});

test.each([
  ["nvidia", "f16", 128, { subgroups: 8, keys: 32, split: 2 }],
  ["nvidia", "f16", 80, { subgroups: 4, keys: 32 }],
  ["amd", "f16", 128, { subgroups: 8, keys: 32, split: 2 }],
  ["amd, subgroups of 64", "f16", 128, { subgroups: 2, keys: 32 }],
  ["amd, subgroups of 64", "f16", 64, { subgroups: 4, keys: 32 }],
  ["intel", "f16", 128, { subgroups: 6, keys: 32, split: 2 }],
  ["intel", "f16", 64, { subgroups: 8, keys: 32, split: 2 }],
  ["intel", "f16", 112, { subgroups: 8, keys: 32 }],
  ["apple", "f32", 128, { subgroups: 8, keys: 16, split: 2 }],
  ["apple", "f32", 120, { subgroups: 4, keys: 16 }],
] as const)("%s takes heads by %s, %i wide", (name, component, headDim, want) => {
  const device = PRETEND_DEVICES[name]!;
  const rule = attentionFamily.rules.find(({ id }) => id === `matrix-${component}`)!;
  const shape = { headDim, rows: true, causal: false, relativeBias: false } as AttentionShape;
  const size = { queries: 4096, keys: 4096 };
  expect(rule.requires(device)).toBeUndefined();
  expect(rule.fits(shape, size, device)).toBeUndefined();
  const { product, ...got } = rule.variant(shape, size, device) as MatrixAttention & { kind: "matrix" };
  expect(got).toEqual({ kind: "matrix", ...want });
  expect(product).toEqual(name === "nvidia" ? undefined : matrixProduct(device, component));
});

test("says what heads it is for, and which devices have no matrices for it", () => {
  const reason = (name: string, id: string, given: Partial<AttentionShape>, queries = 4096) => {
    const device = PRETEND_DEVICES[name]!;
    const rule = attentionFamily.rules.find((r) => r.id === id)!;
    const shape = { headDim: 64, rows: true, causal: false, relativeBias: false, ...given } as AttentionShape;
    return rule.requires(device) ?? rule.fits(shape, { queries, keys: 4096 }, device);
  };
  expect(reason("apple", "matrix-f32", { headDim: 40 })).toBeUndefined();
  expect(reason("apple", "matrix-f32", { headDim: 36 })).toMatch(/in steps of 8, these have 36/);
  expect(reason("intel", "matrix-f16", { headDim: 40 })).toMatch(/in steps of 16, these have 40/);
  expect(reason("intel", "matrix-f16", { headDim: 256 })).toMatch(/32 to 128 channels/);
  expect(reason("intel", "matrix-f16", { causal: true })).toMatch(/without causal mask/);
  expect(reason("intel", "matrix-f16", {}, 31)).toMatch(/32 queries/);
  expect(reason("apple", "matrix-f16", {})).toMatch(/no f16 matrices of 16x16x16 or 8x16x16/);
  expect(reason("nvidia", "matrix-f32", {})).toMatch(/no f32 matrices of 8x8x8/);
  expect(reason("intel, no choice of size", "matrix-f16", {})).toMatch(/shaders can not ask/);
  const small = {
    ...PRETEND_DEVICES.amd!,
    limits: { ...PRETEND_DEVICES.amd!.limits, maxComputeWorkgroupStorageSize: 16_384 },
  };
  expect(attentionFamily.rules.find((r) => r.id === "matrix-f16")!.requires(small)).toMatch(
    /takes 25104 bytes of workgroup memory and 64 threads, the device has 16384 and 1024/,
  );
});
