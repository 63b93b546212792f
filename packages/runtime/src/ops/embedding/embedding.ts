/** Rows of a table by number: token embeddings. */
import type { Device } from "../../device/device.js";
import { assertShape, ShapeError } from "../../errors.js";
import { defineKernel, type Kernel } from "../../kernel/kernel.js";
import { load1, load4, scalarType, vec4Type } from "../../kernel/wgsl.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import { bytesPerElement, type FloatDType } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { splitRows } from "../row-chunks.js";

export interface EmbeddingOptions {
  /** For tests: pretend that bindings are no larger than this many bytes. */
  readonly maxBindingBytes?: number;
}

/**
 * Rows `ids` of `table` `[V, C]` (f32, f16 or bf16) as a new f32 tensor `[n, C]`. `ids`: numbers, or an i32 or u32
 * tensor of n elements. Numbers outside of the table are an error; in a tensor, where they can not be seen in
 * time, they give rows of zeros. Tables beyond the device's binding limit are read in parts.
 * @throws ShapeError
 */
export function embedding(
  device: Device,
  table: Tensor,
  ids: Int32Array | Tensor,
  options: EmbeddingOptions = {},
): Tensor {
  assertShape(
    table.shape.length === 2,
    `embedding: the table is ${formatShape(table.shape)}, expected [V, C]`,
  );
  const dtype = floatDType("embedding", table, "the table");
  const [V, C] = [table.dim(0), table.dim(1)];
  if (ids instanceof Int32Array) {
    const wrong = ids.find((id) => id < 0 || id >= V);
    assertShape(wrong === undefined, `embedding: row ${wrong} of a table with ${V} rows`);
  } else if (ids.dtype !== "i32" && ids.dtype !== "u32") {
    throw new ShapeError("DTYPE_MISMATCH", `embedding: ids are ${ids.dtype}, expected i32 or u32`);
  }
  const n = ids instanceof Int32Array ? ids.length : ids.size;
  const out = device.empty([n, C]);
  if (n === 0 || C === 0) return out;

  const { limits } = device.info;
  const limit = Math.min(
    options.maxBindingBytes ?? Number.POSITIVE_INFINITY,
    limits.maxStorageBufferBindingSize,
  );
  const alignment = limits.minStorageBufferOffsetAlignment;
  const tableRanges = splitRows(V, [C * bytesPerElement(dtype)], limit, alignment, C % 2 === 1 ? 2 : 1);
  const outRanges = splitRows(n, [C * 4, 4], limit, alignment);
  const wholeIds = ids instanceof Int32Array ? device.upload(ids, [n], "i32") : ids.reshape([n]);
  const kernel = embeddingKernel(dtype, C % 4 === 0);
  const width = C % 4 === 0 ? C / 4 : C;
  for (const rows of outRanges) {
    const someIds = wholeIds.rows(rows.start, rows.end);
    const target = out.rows(rows.start, rows.end);
    tableRanges.forEach((range, i) => {
      const part = table.rows(range.start, range.end);
      const count = rows.end - rows.start;
      device.dispatch({
        kernel,
        tensors: [part, someIds, target],
        params: { count, width, first: range.start, rows: range.end - range.start, total: i === 0 ? V : 0 },
        workgroups: Math.ceil((count * width) / 64),
      });
      part.dispose();
    });
    someIds.dispose();
    target.dispose();
  }
  wholeIds.dispose();
  return out;
}

const PARAMS = { count: "u32", width: "u32", first: "u32", rows: "u32", total: "u32" } as const;

function embeddingKernel(dtype: FloatDType, vectors: boolean): Kernel<typeof PARAMS> {
  return defineKernel({
    inBounds: true,
    name: "embedding",
    key: `${dtype}${vectors ? " c4" : ""}`,
    bindings: [
      { name: "table", type: vectors ? vec4Type(dtype) : scalarType(dtype), access: "read" },
      { name: "ids", type: "array<u32>", access: "read" },
      { name: "out", type: vectors ? "array<vec4f>" : "array<f32>", access: "read_write" },
    ],
    params: PARAMS,
    // The first part also clears rows whose id is in no part (total = rows of the whole table, else 0).
    body: () => /* wgsl */ `${vectors ? load4("table", dtype) : load1("table", dtype)}
${flatMain(
  /* wgsl */ `
  if (i >= params.count * params.width) { return; }
  let id = ids[i / params.width];
  let row = id - params.first; // wraps below first, and is then past the end too
  if (row < params.rows) {
    out[i] = ${vectors ? "load4_table" : "load_table"}(row * params.width + i % params.width);
  } else if (params.total > 0u && id >= params.total) {
    out[i] = ${vectors ? "vec4f(0.0)" : "0.0"};
  }`,
  64,
)}`,
  });
}
