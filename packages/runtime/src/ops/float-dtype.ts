import { assertShape, ShapeError } from "../errors.js";
import {
  type FloatDType,
  isFloatDType,
  isPackedDType,
  type PackedDType,
  packedBlock,
} from "../tensor/dtype.js";
import { formatShape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * The tensor's dtype, which must be a float type; `name` is what the operation calls the tensor.
 * @throws ShapeError `DTYPE_MISMATCH`
 */
export function floatDType(op: string, tensor: Tensor, name = "the input"): FloatDType {
  const { dtype } = tensor;
  if (isFloatDType(dtype)) return dtype;
  throw new ShapeError("DTYPE_MISMATCH", `${op}: ${name} is ${dtype}, expected f32, f16 or bf16`);
}

/** Types that weights of linear layers may have. */
export type WeightDType = FloatDType | PackedDType;

/** The weight's dtype. @throws ShapeError `DTYPE_MISMATCH` */
export function weightDType(op: string, weight: Tensor): WeightDType {
  return isPackedDType(weight.dtype) ? packedDType(op, weight) : floatDType(op, weight, "weight");
}

/**
 * The packed tensor's dtype. Kernels number its blocks by place, which is right only where every row is whole blocks.
 * @throws ShapeError `DTYPE_MISMATCH`, `SHAPE_MISMATCH`
 */
export function packedDType(op: string, weight: Tensor): PackedDType {
  const { dtype, shape } = weight;
  if (!isPackedDType(dtype)) {
    throw new ShapeError("DTYPE_MISMATCH", `${op}: the tensor is ${dtype}, expected a packed type`);
  }
  const { elements } = packedBlock(dtype);
  assertShape(
    weight.dim(-1) % elements === 0,
    `${op}: rows of ${formatShape(shape)} are no whole blocks of ${elements} as ${dtype} stores them`,
  );
  return dtype;
}
