/** Softmax over rows, in place: for attention whose heads are too wide for the flash-attention kernel. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { defineKernel, LINEAR_WORKGROUP } from "../../kernel/kernel.js";
import type { Tensor } from "../../tensor/tensor.js";

const THREADS = 64;

/**
 * Replaces every row of `x` `[..., N]` (f32) by `softmax(x * scale)`.
 * @throws ShapeError for other dtypes
 */
export function softmaxRows(device: Device, x: Tensor, scale = 1): void {
  assertShape(x.dtype === "f32", `softmaxRows takes f32, got ${x.dtype}`);
  const width = x.dim(-1);
  if (x.size === 0) return;
  const rows = x.size / width;
  device.dispatch({ kernel: softmaxKernel, tensors: [x], params: { rows, width, scale }, workgroups: rows });
}

const softmaxKernel = defineKernel({
  name: "softmax",
  key: "f32",
  bindings: [{ name: "x", type: "array<f32>", access: "read_write" }],
  params: { rows: "u32", width: "u32", scale: "f32" },
  body: () => /* wgsl */ `
${LINEAR_WORKGROUP}
var<workgroup> partial: array<f32, ${THREADS}>;

fn reduce(lane: u32, value: f32, largest: bool) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  for (var step = ${THREADS / 2}u; step > 0u; step = step >> 1u) {
    if (lane < step) {
      let other = partial[lane + step];
      partial[lane] = select(partial[lane] + other, max(partial[lane], other), largest);
    }
    workgroupBarrier();
  }
  let result = partial[0];
  workgroupBarrier();
  return result;
}

@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = linear_workgroup(id, grid);
  if (row >= params.rows) { return; }
  let start = row * params.width;
  var largest = -3.0e38;
  for (var i = lane; i < params.width; i += ${THREADS}u) { largest = max(largest, x[start + i] * params.scale); }
  largest = reduce(lane, largest, true);
  var total = 0.0;
  for (var i = lane; i < params.width; i += ${THREADS}u) {
    let e = exp(x[start + i] * params.scale - largest);
    x[start + i] = e;
    total += e;
  }
  total = reduce(lane, total, false);
  for (var i = lane; i < params.width; i += ${THREADS}u) { x[start + i] = x[start + i] / total; }
}`,
});
