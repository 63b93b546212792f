/**
 * Subgroup matrices without hardware for them: the shader's text is rewritten, so that each of 32 threads has a part of
 * a matrix. Slow, and right on every device with f16 and subgroups: what tests of places and edges need.
 */

import { Device } from "../device/device.js";
import type { DeviceInfo } from "../device/device-info.js";
import type { DeviceOptions } from "../device/device-options.js";
import { createDevice } from "../node/create-device.js";

/** The same shader without matrices. They are 16 x 16 there, subgroups 32 threads in order. */
export function emulateMatrices(source: string): string {
  if (!source.includes("enable chromium_experimental_subgroup_matrix;")) return source;
  const helpers = new Map<string, string>();
  /** Arrays that right sides are read from, with their order. */
  const rights: { array: string; order: string }[] = [];
  const text = source
    .replace("enable chromium_experimental_subgroup_matrix;\n", "")
    .replace("@builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_id) subgroup: u32", "")
    .replace(
      /(fn main\(.*\{\n)/,
      "$1  let lane = thread % 32u;\n  let subgroup = thread / 32u;\n  emu_lane = lane;\n  emu_one = min(1u, grid.x);\n",
    )
    .replace(/subgroup_matrix_result<f32, 16, 16>\(0\.0\)/g, "EmuResult()")
    .replace(
      /subgroupMatrixLoad<subgroup_matrix_(left|right|result)<\w+, 16, 16>, (row|col)_major>\(&(\w+), /g,
      (_, side: string, order: string, array: string) => {
        if (side !== "right") {
          helpers.set(`${side}_${array}`, side === "left" ? loadLeft(array) : loadResult(array));
          return `emu_${side}_${array}(`;
        }
        let which = rights.findIndex((r) => r.array === array && r.order === order);
        if (which < 0) which = rights.push({ array, order }) - 1;
        return `EmuRight(${which}u, `;
      },
    )
    .replace(/subgroupMatrixStore<row_major>\(&(\w+), /g, (_, array: string) => {
      helpers.set(`store_${array}`, storeResult(array));
      return `emu_store_${array}(`;
    })
    .replaceAll("subgroupMatrixMultiplyAccumulate(", "emu_multiply(");
  const at = text.search(/\n@compute/);
  return `${text.slice(0, at)}\n${multiply(rights)}\n${[...helpers.values()].join("\n")}${text.slice(at)}`;
}

/**
 * Thread i of a subgroup has eight sums of row i / 2. Of a left side it has the row, of a right side the place, which is
 * read when the product is made: until then nobody may write there.
 */
function multiply(rights: readonly { array: string; order: string }[]): string {
  const value = ({ array, order }: { array: string; order: string }, i: number) => {
    const place = order === "row" ? "k * 4u * b.stride + column" : "column * 4u * b.stride + k";
    return `case ${i}u: { let place = 4u * b.at + ${place}; return f32(${array}[place / 4u][place % 4u]); }`;
  };
  return /* wgsl */ `
alias EmuLeft = array<f32, 16>;
alias EmuResult = array<f32, 8>;
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
  for (var k = 0u; k < 16u * emu_one; k++) {
    for (var i = 0u; i < 8u * emu_one; i++) {
      sum[i] += left[k] * emu_value(b, k, emu_lane % 2u * 8u + i);
    }
  }
  return sum;
}`;
}

/** Places and strides count vectors of four. */
function loadLeft(array: string): string {
  return /* wgsl */ `
fn emu_left_${array}(at: u32, stride: u32) -> EmuLeft {
  var m: EmuLeft;
  for (var i = 0u; i < 16u * emu_one; i++) {
    m[i] = f32(${array}[at + emu_lane / 2u * stride + i / 4u][i % 4u]);
  }
  return m;
}`;
}

function loadResult(array: string): string {
  return /* wgsl */ `
fn emu_result_${array}(at: u32, stride: u32) -> EmuResult {
  var m: EmuResult;
  for (var i = 0u; i < 8u * emu_one; i++) {
    m[i] = ${array}[at + emu_lane / 2u * stride + emu_lane % 2u * 2u + i / 4u][i % 4u];
  }
  return m;
}`;
}

function storeResult(array: string): string {
  return /* wgsl */ `
fn emu_store_${array}(at: u32, m: EmuResult, stride: u32) {
  let place = at + emu_lane / 2u * stride + emu_lane % 2u * 2u;
  ${array}[place] = vec4f(m[0], m[1], m[2], m[3]);
  ${array}[place + 1u] = vec4f(m[4], m[5], m[6], m[7]);
}`;
}

/**
 * A device that runs kernels for subgroup matrices, on real ones or emulated. Undefined, with a line that says why, where
 * shaders have no f16.
 */
export async function matrixTestDevice(options: DeviceOptions = {}): Promise<Device | undefined> {
  const real = await createDevice({
    adapter: process.env.LVSA_TEST_ADAPTER || "auto",
    math: "fast",
    ...options,
  });
  if (real.info.matrices.length > 0) return real;
  if (!real.info.f16 || !real.info.subgroups) {
    console.warn(
      "skipped: kernels for subgroup matrices, the device has no f16 and subgroups to emulate them with",
    );
    real.dispose();
    return undefined;
  }
  const { gpu } = real;
  const create = gpu.createShaderModule.bind(gpu);
  gpu.createShaderModule = (descriptor) => create({ ...descriptor, code: emulateMatrices(descriptor.code) });
  const info: DeviceInfo = {
    ...real.info,
    subgroups: { min: 32, max: 32 },
    matrices: [{ component: "f16", result: "f32", m: 16, n: 16, k: 16 }],
  };
  const emulated = new Device(gpu, info, false, { math: "fast", ...options });
  const dispose = emulated.dispose.bind(emulated);
  emulated.dispose = () => {
    dispose();
    real.dispose();
  };
  return emulated;
}
