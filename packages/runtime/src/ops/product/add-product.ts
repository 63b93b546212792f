/** Sums of weights with what is added to them: `out += up · down`, in f32 whatever the device's mathematics are. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { defineKernel } from "../../kernel/kernel.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";

const WORKGROUP = 64;

/** Rows of `out` and of the other operand: `count` from `out` and from `from` on. */
export interface AddedRows {
  readonly out: number;
  readonly from: number;
  readonly count: number;
}

/**
 * Adds a product to rows of a matrix in place: `out [M, K] += up [N, R] · down [R, K]`, all f32. Each number is summed in
 * f32 over R, and added once. The matrices stay the caller's.
 * @throws ShapeError for matrices that do not fit each other
 */
export function addProduct(device: Device, out: Tensor, up: Tensor, down: Tensor, rows: AddedRows): void {
  const [columns, rank] = [out.dim(1), up.dim(1)];
  assertShape(
    down.dim(0) === rank && down.dim(1) === columns,
    `addProduct: ${formatShape(up.shape)} times ${formatShape(down.shape)} does not fit ${formatShape(out.shape)}`,
  );
  run(device, out, [up, down], rank, rows, up.dim(0));
}

/** Adds rows of a matrix to rows of another one of the same width in place: `out [M, K] += values [N, K]`, both f32. */
export function addRows(device: Device, out: Tensor, values: Tensor, rows: AddedRows): void {
  assertShape(
    values.dim(1) === out.dim(1),
    `addRows: ${formatShape(values.shape)} does not fit ${formatShape(out.shape)}`,
  );
  run(device, out, [values], 0, rows, values.dim(0));
}

function run(
  device: Device,
  out: Tensor,
  operands: readonly Tensor[],
  rank: number,
  { out: first, from, count: rows }: AddedRows,
  available: number,
): void {
  for (const one of [out, ...operands]) {
    assertShape(
      one.shape.length === 2 && one.dtype === "f32",
      `addProduct: ${one.dtype} ${formatShape(one.shape)}, expected f32 matrices`,
    );
  }
  assertShape(
    first >= 0 && from >= 0 && first + rows <= out.dim(0) && from + rows <= available,
    `addProduct: ${rows} rows from ${first} and ${from} on are not in ${out.dim(0)} and ${available}`,
  );
  const columns = out.dim(1);
  const count = rows * columns;
  if (count === 0) return;
  device.dispatch({
    kernel: kernel(operands.length === 2),
    tensors: [...operands, out],
    params: { count, columns, rank, first: first * columns, source_row: from },
    workgroups: Math.ceil(count / WORKGROUP),
  });
}

function kernel(isProduct: boolean) {
  const sum = isProduct
    ? /* wgsl */ `
  var sum = 0.0;
  for (var r = 0u; r < params.rank; r++) { sum += up[row * params.rank + r] * down[r * params.columns + column]; }`
    : /* wgsl */ `
  let sum = up[row * params.columns + column];`;
  return defineKernel({
    // Rows were checked against the operands; nothing that is stored is an index.
    inBounds: true,
    name: "add-product",
    key: isProduct ? "product" : "rows",
    bindings: [
      { name: "up", type: "array<f32>", access: "read" },
      ...(isProduct ? [{ name: "down", type: "array<f32>", access: "read" } as const] : []),
      { name: "out", type: "array<f32>", access: "read_write" },
    ],
    params: { count: "u32", columns: "u32", rank: "u32", first: "u32", source_row: "u32" },
    body: () =>
      flatMain(
        /* wgsl */ `
  if (i >= params.count) { return; }
  let row = i / params.columns + params.source_row;
  let column = i % params.columns;${sum}
  out[params.first + i] += sum;`,
        WORKGROUP,
      ),
  });
}
