/** Counts and bytes of a parameter list. */
import { elementCount, type ParameterTensor, type RowKind } from "../models/definition/parameter-list.js";

/** Number formats that published checkpoints use. */
export type StoredDType = "f32" | "f16" | "bf16";

export const BYTES_PER_ELEMENT = { f32: 4, f16: 2, bf16: 2 } as const satisfies Record<StoredDType, number>;

export interface WeightSummary {
  /** Elements of all tensors. */
  readonly parameters: number;
  readonly tensors: number;
  /** Elements times element size, without file headers. */
  readonly bytes: Readonly<Record<StoredDType, number>>;
  readonly largestTensor: ParameterTensor;
}

/** @throws RangeError for an empty list */
export function summarizeParameters(parameters: readonly ParameterTensor[]): WeightSummary {
  let largest = parameters[0];
  if (largest === undefined) throw new RangeError("a model without parameters");
  let total = 0;
  for (const tensor of parameters) {
    const count = elementCount(tensor.shape);
    total += count;
    if (count > elementCount(largest.shape)) largest = tensor;
  }
  return {
    parameters: total,
    tensors: parameters.length,
    bytes: { f32: total * 4, f16: total * 2, bf16: total * 2 },
    largestTensor: largest,
  };
}

/** Elements of weight matrices per kind of row they are multiplied with. */
export function weightsByRows(parameters: readonly ParameterTensor[]): Map<RowKind, number> {
  const sums = new Map<RowKind, number>();
  for (const { rows, shape } of parameters) {
    if (rows !== undefined) sums.set(rows, (sums.get(rows) ?? 0) + elementCount(shape));
  }
  return sums;
}
