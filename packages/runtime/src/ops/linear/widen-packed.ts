/** Packed weights as floats, for kernels that read floats alone. */
import type { Device } from "../../device/device.js";
import { defineKernel } from "../../kernel/kernel.js";
import { store4, vec4Type } from "../../kernel/wgsl.js";
import { loadPacked4 } from "../../kernel/wgsl-packed.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import { bytesPerElement, type FloatDType, type PackedDType } from "../../tensor/dtype.js";
import type { Tensor } from "../../tensor/tensor.js";
import { packedDType } from "../float-dtype.js";
import { splitRows } from "../row-chunks.js";

const WORKGROUP = 64;

/**
 * A new tensor of the same shape `[N, K]`; f32 holds the numbers exactly, up to one rounding in `q4_k`.
 * @throws ShapeError `DTYPE_MISMATCH` for a tensor that is not packed, `SHAPE_MISMATCH` where rows are no whole blocks
 */
export function widenPacked(device: Device, packed: Tensor, dtype: FloatDType): Tensor {
  const from = packedDType("widenPacked", packed);
  const [rows, columns] = [packed.dim(0), packed.size / Math.max(1, packed.dim(0))];
  const out = device.empty(packed.shape, dtype);
  if (packed.size === 0) return out;
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } =
    device.info.limits;
  const bytes = [columns * bytesPerElement(from), columns * bytesPerElement(dtype)];
  for (const { start, end } of splitRows(rows, bytes, limit, alignment, 1)) {
    const [source, target] = [packed.rows(start, end), out.rows(start, end)];
    const count = ((end - start) * columns) / 4;
    device.dispatch({
      kernel: kernel(from, dtype),
      tensors: [source, target],
      params: { count },
      workgroups: Math.ceil(count / WORKGROUP),
    });
    source.dispose();
    target.dispose();
  }
  return out;
}

function kernel(from: PackedDType, to: FloatDType) {
  return defineKernel({
    // Blocks are numbered by place, and rows are whole blocks: nothing that is stored is an index.
    inBounds: true,
    name: "widen-packed",
    key: `${from} ${to}`,
    bindings: [
      { name: "weight", type: "array<u32>", access: "read" },
      { name: "out", type: vec4Type(to), access: "read_write" },
    ],
    params: { count: "u32" },
    body: () => /* wgsl */ `${loadPacked4("weight", from)}
${store4("out", to)}
${flatMain("  if (i < params.count) { store4_out(i, load4_weight(i)); }", WORKGROUP)}`,
  });
}
