/**
 * Shaders of `conv3d`: an implicit matrix product. Rows are output positions of one frame, columns output channels;
 * the sum runs over taps outside and channels inside, so that each tap is a shifted read of channels-last memory.
 * A workgroup stays inside of one output frame: taps in time that fall into zero padding are skipped as a whole.
 */
import { defineKernel, type Kernel, type KernelBinding, type WgslExtension } from "../../kernel/kernel.js";
import { load4, vec4Type } from "../../kernel/wgsl.js";
import type { FloatDType } from "../../tensor/dtype.js";
import {
  type EpilogueShape,
  epilogueBindings,
  epilogueKey,
  epilogueSource,
} from "../linear/linear-epilogue.wgsl.js";
import { matrixExtensions, matrixOperandType, matrixRead } from "../matrix/matrix-tile.wgsl.js";
import { type ConvVariant, convVariantKey } from "./conv-variant.js";
import { convMatrixSource } from "./conv3d-matrix.wgsl.js";
import { convSubgroupSource } from "./conv3d-subgroups.wgsl.js";
import { convTileSource } from "./conv3d-tile.wgsl.js";

export type PadMode = "zeros" | "replicate";

export interface ConvShaderShape extends EpilogueShape {
  readonly x: FloatDType;
  readonly weight: FloatDType;
  /** Cached frames are bound, stored like x. */
  readonly history: boolean;
  readonly padTime: PadMode;
  readonly padSpace: PadMode;
}

export const CONV_PARAMS = {
  /** Output positions per frame, frames of this piece, width of the output. */
  m: "u32",
  out_frames: "u32",
  out_width: "u32",
  /** Output channels, and those that the weight binding holds. */
  n: "u32",
  column_start: "u32",
  column_end: "u32",
  /** Input channels over 4. */
  steps: "u32",
  /** Size of the bound input, and of the bound history. */
  frames: "i32",
  height: "i32",
  width: "i32",
  history: "i32",
  /** Taps that are walked, taps of a whole weight row, first tap. */
  taps_t: "u32",
  taps_h: "u32",
  taps_w: "u32",
  taps: "u32",
  first_tap: "u32",
  stride_t: "u32",
  stride_h: "u32",
  stride_w: "u32",
  front: "i32",
  top: "i32",
  left: "i32",
} as const;

/** Bindings: x, history (if any), weight, then those of the epilogue. */
export function convKernel(shape: ConvShaderShape, variant: ConvVariant): Kernel<typeof CONV_PARAMS> {
  const type = variant.kind === "matrix" ? matrixOperandType : vec4Type;
  const bindings: KernelBinding[] = [{ name: "x", type: type(shape.x), access: "read" }];
  if (shape.history) bindings.push({ name: "history", type: type(shape.x), access: "read" });
  bindings.push({ name: "weight", type: type(shape.weight), access: "read" }, ...epilogueBindings(shape));
  return defineKernel({
    inBounds: true,
    name: "conv3d",
    key: [
      convVariantKey(variant),
      `x:${shape.x} w:${shape.weight} ${shape.padTime} ${shape.padSpace}${shape.history ? " history" : ""}`,
      epilogueKey(shape),
    ].join(" "),
    bindings,
    enables: extensions(variant),
    params: CONV_PARAMS,
    body: () =>
      [loads(shape, variant), places(shape), epilogueSource(shape), mainSource(shape, variant)].join("\n"),
  });
}

function mainSource(shape: ConvShaderShape, variant: ConvVariant): string {
  switch (variant.kind) {
    case "matrix":
      return convMatrixSource(variant);
    case "tile":
      return convTileSource(variant);
    case "lanes":
      return convSubgroupSource(variant, shape.history);
    default:
      return variant satisfies never;
  }
}

function extensions(variant: ConvVariant): readonly WgslExtension[] {
  switch (variant.kind) {
    case "matrix":
      return matrixExtensions(variant);
    case "lanes":
      return ["subgroups"];
    case "tile":
      return variant.half ? ["f16"] : [];
    default:
      return variant satisfies never;
  }
}

/** `input_at(cached, i)` and `load4_weight(i)`: four channels; for matrices what `matrixRead` says of eight. */
function loads(shape: ConvShaderShape, variant: ConvVariant): string {
  const isMatrix = variant.kind === "matrix";
  const { load, one, type } = isMatrix ? matrixRead(variant) : { load: load4, one: "load4", type: "vec4f" };
  const name = isMatrix ? `${one}_input` : "input_at";
  const history = shape.history
    ? /* wgsl */ `${load("history", shape.x)}
fn ${name}(cached: bool, i: u32) -> ${type} { if (cached) { return ${one}_history(i); } return ${one}_x(i); }`
    : `fn ${name}(cached: bool, i: u32) -> ${type} { return ${one}_x(i); }`;
  return `${load("x", shape.x)}\n${load("weight", shape.weight)}\n${history}`;
}

/** Where a tap reads. */
function places(shape: ConvShaderShape): string {
  const time =
    shape.padTime === "zeros" ? "return t;" : "return clamp(t, -params.history, params.frames - 1);";
  const space =
    shape.padSpace === "zeros"
      ? `if (any(p < vec2i(0)) || p.x >= params.width || p.y >= params.height) { return -1; }
  return (base + p.y * params.width + p.x) * i32(params.steps);`
      : `let q = clamp(p, vec2i(0), vec2i(params.width, params.height) - 1);
  return (base + q.y * params.width + q.x) * i32(params.steps);`;
  return /* wgsl */ `
// Input frame of a tap in time; negative: cached frames. Outside of -history..frames: padding with zeros.
fn frame_of(out_frame: u32, tap: u32) -> i32 {
  let t = i32(out_frame * params.stride_t + tap) - params.front;
  ${time}
}
fn is_frame(t: i32) -> bool { return t >= -params.history && t < params.frames; }
// First position (in pixels) of the frame in the buffer that holds it.
fn frame_base(t: i32) -> i32 { return select(t, t + params.history, t < 0) * params.height * params.width; }
// Input column and row of the first tap in space.
fn corner_of(row: u32) -> vec2i {
  let y = row / params.out_width;
  let x = row - y * params.out_width;
  return vec2i(i32(x * params.stride_w) - params.left, i32(y * params.stride_h) - params.top);
}
// Index of the first four channels at a position of the frame that starts at base; -1: padding with zeros.
fn pixel_at(base: i32, p: vec2i) -> i32 {
  ${space}
}`;
}
