/** Shaders of `linear`: pure functions of typed parameters. */
import { defineKernel, type Kernel, type KernelBinding, type WgslExtension } from "../../kernel/kernel.js";
import { load1, load4, scalarType, vec4Type } from "../../kernel/wgsl.js";
import { loadPacked4 } from "../../kernel/wgsl-packed.js";
import { type FloatDType, isPackedDType } from "../../tensor/dtype.js";
import type { WeightDType } from "../float-dtype.js";
import { matrixExtensions, matrixOperandType, matrixRead, productOf } from "../matrix/matrix-tile.wgsl.js";
import { type EpilogueShape, epilogueBindings, epilogueKey, epilogueSource } from "./linear-epilogue.wgsl.js";
import { gemvSource } from "./linear-gemv.wgsl.js";
import { matrixSource } from "./linear-matrix.wgsl.js";
import { subgroupSource } from "./linear-subgroups.wgsl.js";
import { tileSource } from "./linear-tile.wgsl.js";
import { type LinearVariant, variantKey } from "./linear-variant.js";

export interface LinearShaderShape extends EpilogueShape {
  readonly x: FloatDType;
  readonly weight: WeightDType;
  /** K is a multiple of 4: rows of x and of the weight are read four values at a time. */
  readonly alignedK: boolean;
}

/** All counts are elements. The weight binding holds rows `column_start` to `column_end` of the whole weight. */
export const LINEAR_PARAMS = {
  m: "u32",
  n: "u32",
  k: "u32",
  column_start: "u32",
  column_end: "u32",
  first_row: "u32",
  gate_rows: "u32",
} as const;

/** Bindings: x, weight, then those of the epilogue. */
export function linearKernel(shape: LinearShaderShape, variant: LinearVariant): Kernel<typeof LINEAR_PARAMS> {
  const type = variant.kind === "matrix" ? matrixOperandType : shape.alignedK ? vec4Type : scalarType;
  // Packed rows are whole blocks, so that they are always read four values at a time.
  const weightType = isPackedDType(shape.weight) ? "array<u32>" : type(shape.weight);
  const bindings: KernelBinding[] = [
    { name: "x", type: type(shape.x), access: "read" },
    { name: "weight", type: weightType, access: "read" },
    ...epilogueBindings(shape),
  ];
  return defineKernel({
    inBounds: true,
    name: "linear",
    key: `${variantKey(variant)} x:${shape.x} w:${shape.weight}${shape.alignedK ? " k4" : ""} ${epilogueKey(shape)}`,
    bindings,
    enables: extensions(variant),
    params: LINEAR_PARAMS,
    body: () => [loads(shape, variant), epilogueSource(shape), mainSource(variant)].join("\n"),
  });
}

/**
 * `x_at(row, k4)` and `weight_at(row, k4)`: values 4 k4 to 4 k4 + 3 of a row of the binding, 0 past the row's end.
 * Callers keep `row` inside of the binding and 4 k4 below k.
 */
function loads(shape: LinearShaderShape, variant: LinearVariant): string {
  if (variant.kind === "matrix") {
    const { load } = matrixRead(variant);
    if (!isPackedDType(shape.weight)) return `${load("x", shape.x)}\n${load("weight", shape.weight)}`;
    if (productOf(variant).component === "f16")
      throw new RangeError("matrices of f16 are made of floats: widen the weight first");
    return `${load("x", shape.x)}
${loadPacked4("weight", shape.weight)}
fn floats_weight(i: u32) -> mat2x4f { return mat2x4f(load4_weight(2u * i), load4_weight(2u * i + 1u)); }`;
  }
  return `${loadRow("x", shape.x, shape.alignedK)}\n${loadRow("weight", shape.weight, shape.alignedK)}`;
}

function loadRow(name: "x" | "weight", dtype: WeightDType, aligned: boolean): string {
  const head = `fn ${name}_at(row: u32, k4: u32) -> vec4f {`;
  const whole = `${head} return load4_${name}(row * (params.k >> 2u) + k4); }`;
  if (isPackedDType(dtype)) return `${loadPacked4(name, dtype)}\n${whole}`;
  if (aligned) return `${load4(name, dtype)}\n${whole}`;
  return /* wgsl */ `${load1(name, dtype)}
${head}
  let at = row * params.k + 4u * k4;
  let last = params.k - 1u - 4u * k4;
  return vec4f(
    load_${name}(at),
    select(0.0, load_${name}(at + min(1u, last)), last >= 1u),
    select(0.0, load_${name}(at + min(2u, last)), last >= 2u),
    select(0.0, load_${name}(at + min(3u, last)), last >= 3u));
}`;
}

/** The first row (x) and column (y) of a workgroup's output tile, counted in the bindings; x = m past the end. */
const OUTPUT_TILE = /* wgsl */ `
fn output_tile(index: u32, rows: u32, columns: u32) -> vec2u {
  let tiles_m = (params.m + rows - 1u) / rows;
  let tiles_n = (params.column_end - params.column_start + columns - 1u) / columns;
  if (index >= tiles_m * tiles_n) { return vec2u(params.m, 0u); }
  // Bands of 8 tiles of rows, walked column by column: both operands stay in the cache.
  let band = index / (8u * tiles_n);
  let band_rows = min(8u, tiles_m - 8u * band);
  let inside = index % (8u * tiles_n);
  return vec2u((8u * band + inside % band_rows) * rows, (inside / band_rows) * columns);
}`;

function mainSource(variant: LinearVariant): string {
  switch (variant.kind) {
    case "matrix":
      return OUTPUT_TILE + matrixSource(variant);
    case "tile":
      return OUTPUT_TILE + tileSource(variant);
    case "lanes":
      return OUTPUT_TILE + subgroupSource(variant);
    case "gemv":
      return gemvSource(variant);
    default:
      return variant satisfies never;
  }
}

function extensions(variant: LinearVariant): readonly WgslExtension[] {
  if (variant.kind === "matrix") return matrixExtensions(variant);
  if (variant.kind === "lanes") return ["subgroups"];
  return variant.kind === "tile" && (variant.halfX || variant.halfW) ? ["f16"] : [];
}
