/**
 * Subgroup matrices without hardware for them: the shader's text is rewritten, so that each thread of a subgroup has a part
 * of a matrix. Slow, and right on every device with f16 and subgroups: what tests of places and edges need.
 */

import { Device } from "../device/device.js";
import type { DeviceInfo } from "../device/device-info.js";
import type { DeviceOptions } from "../device/device-options.js";
import { lines } from "../kernel/wgsl-text.js";
import { F16_16X16X16, type MatrixProduct } from "../ops/matrix/matrix-tile.wgsl.js";
import { failingGuards, guardedDevice } from "./guard-buffers.js";

/** What the text of a shader does not say of its product. */
type Parts = Omit<MatrixProduct, "component" | "asksForLanes">;
/** Sums that a thread has, all of one row, and threads per row. */
const sumsOf = ({ m, n, lanes }: Parts) => (m * n) / lanes;
const perRow = (p: Parts) => p.n / sumsOf(p);

/** The same shader without matrices. Subgroups are threads in order, as many as `product` says. */
export function emulateMatrices(source: string, product: Parts = F16_16X16X16): string {
  if (!source.includes("enable chromium_experimental_subgroup_matrix;")) return source;
  const { m, n, k, lanes } = product;
  const sizes = { left: `${k}, ${m}`, right: `${n}, ${k}`, result: `${n}, ${m}` } as const;
  const wanted = new Set(Object.entries(sizes).map(([side, size]) => `${side} ${size}`));
  for (const [text, side, size] of source.matchAll(/subgroup_matrix_(left|right|result)<\w+, (\d+, \d+)>/g)) {
    if (!wanted.has(`${side} ${size}`)) throw new RangeError(`${text} is no part of ${m}x${n}x${k}`);
  }
  const helpers = new Map<string, string>();
  /** Arrays that right sides are read from, with their order. */
  const rights: { array: string; order: string }[] = [];
  const text = source
    .replace("enable chromium_experimental_subgroup_matrix;\n", "")
    .replace("enable subgroup_size_control;\n", "")
    .replace(` @subgroup_size(${lanes})`, "")
    .replace("@builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32", "")
    .replace(
      /(fn main\(.*\{\n)/,
      `$1  let lane = thread % ${lanes}u;\n  let subgroup = thread / ${lanes}u;\n  emu_lane = lane;\n  emu_one = min(1u, grid.x);\n`,
    )
    .replace(/subgroup_matrix_result<f32, \d+, \d+>\(0\.0\)/g, "EmuResult()")
    .replace(
      /subgroupMatrixLoad<subgroup_matrix_(left|right|result)<\w+, \d+, \d+>, (row|col)_major>\(&(\w+), /g,
      (_, side: string, order: string, array: string) => {
        if (side !== "right") {
          helpers.set(
            `${side}_${array}`,
            side === "left" ? loadLeft(array, product) : loadResult(array, product),
          );
          return `emu_${side}_${array}(`;
        }
        let which = rights.findIndex((r) => r.array === array && r.order === order);
        if (which < 0) which = rights.push({ array, order }) - 1;
        return `EmuRight(${which}u, `;
      },
    )
    .replace(/subgroupMatrixStore<row_major>\(&(\w+), /g, (_, array: string) => {
      helpers.set(`store_${array}`, storeResult(array, product));
      return `emu_store_${array}(`;
    })
    .replaceAll("subgroupMatrixMultiplyAccumulate(", "emu_multiply(");
  const at = text.search(/\n@compute/);
  return `${text.slice(0, at)}\n${multiply(rights, product)}\n${[...helpers.values()].join("\n")}${text.slice(at)}`;
}

/**
 * Threads of a subgroup share its rows of sums evenly, in order. Of a left side it has the row, of a right side the place, which is
 * read when the product is made: until then nobody may write there.
 */
function multiply(rights: readonly { array: string; order: string }[], p: Parts): string {
  const value = ({ array, order }: { array: string; order: string }, i: number) => {
    const place = order === "row" ? "k * 4u * b.stride + column" : "column * 4u * b.stride + k";
    return `case ${i}u: { let place = 4u * b.at + ${place}; return f32(${array}[place / 4u][place % 4u]); }`;
  };
  return /* wgsl */ `
alias EmuLeft = array<f32, ${p.k}>;
alias EmuResult = array<f32, ${sumsOf(p)}>;
struct EmuRight { which: u32, at: u32, stride: u32 }
var<private> emu_lane: u32;
// 1, and no compiler knows it: loops stay loops.
var<private> emu_one: u32;
fn emu_value(b: EmuRight, k: u32, column: u32) -> f32 {
  switch b.which {
    ${rights.map(value).join("\n    ")}
    default: { return 0.0; }
  }
}
fn emu_multiply(a: EmuLeft, b: EmuRight, c: EmuResult) -> EmuResult {
  var left = a;
  var sum = c;
  for (var k = 0u; k < ${p.k}u * emu_one; k++) {
    for (var i = 0u; i < ${sumsOf(p)}u * emu_one; i++) {
      sum[i] += left[k] * emu_value(b, k, emu_lane % ${perRow(p)}u * ${sumsOf(p)}u + i);
    }
  }
  return sum;
}`;
}

/** Places and strides count vectors of four. */
function loadLeft(array: string, p: Parts): string {
  return /* wgsl */ `
fn emu_left_${array}(at: u32, stride: u32) -> EmuLeft {
  var m: EmuLeft;
  for (var i = 0u; i < ${p.k}u * emu_one; i++) {
    m[i] = f32(${array}[at + emu_lane / ${perRow(p)}u * stride + i / 4u][i % 4u]);
  }
  return m;
}`;
}

/** Place of sum `i` of a thread: vectors of four are whole, or parts of one. */
function sumAt(p: Parts, i: string): string {
  const sums = sumsOf(p);
  const row = `at + emu_lane / ${perRow(p)}u * stride`;
  return sums % 4 === 0
    ? `[${row} + emu_lane % ${perRow(p)}u * ${sums / 4}u + ${i} / 4u][${i} % 4u]`
    : `[${row} + emu_lane % ${perRow(p)}u * ${sums}u / 4u][emu_lane % ${perRow(p)}u * ${sums}u % 4u + ${i}]`;
}

function loadResult(array: string, p: Parts): string {
  return /* wgsl */ `
fn emu_result_${array}(at: u32, stride: u32) -> EmuResult {
  var m: EmuResult;
  for (var i = 0u; i < ${sumsOf(p)}u * emu_one; i++) {
    m[i] = ${array}${sumAt(p, "i")};
  }
  return m;
}`;
}

function storeResult(array: string, p: Parts): string {
  const sums = sumsOf(p);
  const whole = lines(
    sums / 4,
    (q) =>
      `  ${array}[place + ${q}u] = vec4f(m[${4 * q}], m[${4 * q + 1}], m[${4 * q + 2}], m[${4 * q + 3}]);`,
  );
  const parts = lines(sums, (i) => `  ${array}${sumAt(p, `${i}u`)} = m[${i}];`);
  return /* wgsl */ `
fn emu_store_${array}(at: u32, m: EmuResult, stride: u32) {
${
  sums % 4 === 0
    ? `  let place = at + emu_lane / ${perRow(p)}u * stride + emu_lane % ${perRow(p)}u * ${sums / 4}u;\n${whole}`
    : parts
}
}`;
}

/**
 * A device that runs kernels for subgroup matrices, on real ones or emulated, without checks of indices and with guards behind
 * all buffers: `dispose`, returned from a hook, fails where one is broken. Undefined, with a line that says why, where shaders
 * have no f16.
 */
export async function matrixTestDevice(
  options: DeviceOptions = {},
  product: MatrixProduct = F16_16X16X16,
): Promise<Device | undefined> {
  const guarded = await guardedDevice({ math: "fast", ...options });
  const real = guarded.device;
  const { component, m, n, k, lanes } = product;
  if (
    real.info.matrices.some(
      (o) => o.component === component && o.result === "f32" && o.m === m && o.n === n && o.k === k,
    ) &&
    real.info.subgroups?.min === lanes &&
    real.info.subgroups.max === lanes
  ) {
    return failingGuards(guarded);
  }
  if (!real.info.f16 || !real.info.subgroups) {
    console.warn(
      "skipped: kernels for subgroup matrices, the device has no f16 and subgroups to emulate them with",
    );
    real.dispose();
    return undefined;
  }
  const { gpu } = real;
  const create = gpu.createShaderModule.bind(gpu);
  gpu.createShaderModule = (descriptor) =>
    create({ ...descriptor, code: emulateMatrices(descriptor.code, product) });
  const info: DeviceInfo = {
    ...real.info,
    subgroups: { min: lanes, max: lanes },
    matrices: [{ component, result: "f32", m, n, k }],
  };
  const emulated = new Device(gpu, info, false, { math: "fast", ...options, unchecked: true });
  const dispose = emulated.dispose.bind(emulated);
  emulated.dispose = () => {
    dispose();
    real.dispose();
  };
  const check = async () => {
    await emulated.idle();
    return guarded.check();
  };
  return failingGuards({ device: emulated, check });
}
