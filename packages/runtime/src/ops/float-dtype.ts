import { ShapeError } from "../errors.js";
import { type FloatDType, isFloatDType, isPackedDType, type PackedDType } from "../tensor/dtype.js";
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
  return isPackedDType(weight.dtype) ? weight.dtype : floatDType(op, weight, "weight");
}
