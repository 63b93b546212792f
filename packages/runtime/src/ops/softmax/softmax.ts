/** Softmax over rows, in place: for attention whose heads are too wide for the flash-attention kernel. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { defineKernel } from "../../kernel/kernel.js";
import { computeMain, workgroupReduction } from "../../kernel/wgsl-threads.js";
import type { Tensor } from "../../tensor/tensor.js";
import { rowChunks, withRows } from "../row-chunks.js";

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
  for (const chunk of rowChunks(device, rows, [width * 4])) {
    withRows([x], rows, chunk, (tensors) => {
      const count = chunk.end - chunk.start;
      device.dispatch({
        kernel: softmaxKernel,
        tensors,
        params: { rows: count, width, scale },
        workgroups: count,
      });
    });
  }
}

const softmaxKernel = defineKernel({
  inBounds: true,
  name: "softmax",
  key: "f32",
  bindings: [{ name: "x", type: "array<f32>", access: "read_write" }],
  params: { rows: "u32", width: "u32", scale: "f32" },
  body: () => /* wgsl */ `
${workgroupReduction({ name: "sum_of", type: "f32", threads: THREADS })}
${workgroupReduction({ name: "largest_of", type: "f32", threads: THREADS, join: (a, b) => `max(${a}, ${b})` })}
${computeMain(
  THREADS,
  /* wgsl */ `
  let row = workgroup;
  if (row >= params.rows) { return; }
  let start = row * params.width;
  var largest = -3.0e38;
  for (var i = thread; i < params.width; i += ${THREADS}u) { largest = max(largest, x[start + i] * params.scale); }
  largest = largest_of(thread, largest);
  var total = 0.0;
  for (var i = thread; i < params.width; i += ${THREADS}u) {
    let e = exp(x[start + i] * params.scale - largest);
    x[start + i] = e;
    total += e;
  }
  total = sum_of(thread, total);
  for (var i = thread; i < params.width; i += ${THREADS}u) { x[start + i] = x[start + i] / total; }`,
)}`,
});
