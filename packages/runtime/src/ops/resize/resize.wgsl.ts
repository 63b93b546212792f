/** Shaders that change the size of `[B, T, H, W, C]` features, and that make display frames of them. */
import { defineKernel } from "../../kernel/kernel.js";
import { elementAt, load4, store4, vec4Type } from "../../kernel/wgsl.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import type { FloatDType } from "../../tensor/dtype.js";

export const RESIZE_PARAMS = {
  /** Elements of this piece of the output, and the line that it starts at (batch times frames times rows). */
  count: "u32",
  first_line: "u32",
  channels: "u32",
  frames: "u32",
  height: "u32",
  width: "u32",
  out_frames: "u32",
  out_height: "u32",
  out_width: "u32",
  /** Lines from one frame of the input binding to the next, and the line that it starts at. */
  frame_lines: "u32",
  first_input: "u32",
} as const;

/** Output element e of this piece to channel, x, y and frame (over all batch entries). */
const COORDINATES = /* wgsl */ `
struct Place { c: u32, x: u32, y: u32, frame: u32 }
fn place_of(e: u32) -> Place {
  let pixel = e / params.channels;
  let row = pixel / params.out_width;
  let line = row + params.first_line;
  let frame = line / params.out_height;
  return Place(e - pixel * params.channels, pixel - row * params.out_width, line - frame * params.out_height, frame);
}`;

/** Calls `value(e)` for the thread's elements and stores them. `vector`: C is a multiple of 4, one call gives four. */
function storeValues(vector: boolean): string {
  return flatMain(/* wgsl */ `
  let e = i * 4u;
  if (e >= params.count) { return; }
  ${
    vector
      ? "store4_y(i, value(e));"
      : `let last = params.count - 1u;
  store4_y(i, vec4f(value(e), value(min(e + 1u, last)), value(min(e + 2u, last)), value(min(e + 3u, last))));`
  }`);
}

export interface ResizeSpec {
  readonly dtype: FloatDType;
  readonly vector: boolean;
}

const bindings = (x: FloatDType, y: FloatDType) =>
  [
    { name: "x", type: vec4Type(x), access: "read" },
    { name: "y", type: vec4Type(y), access: "read_write" },
  ] as const;

export function resizeNearestKernel({ dtype, vector }: ResizeSpec, exact: boolean) {
  const type = vector ? "vec4f" : "f32";
  // Positions are whole numbers: floor(i * n / m), or floor((i + 1/2) * n / m) for `exact`.
  const source = exact ? "((2u * i + 1u) * n) / (2u * m)" : "(i * n) / m";
  return defineKernel({
    inBounds: true,
    name: "resize_nearest",
    key: `${dtype},${vector},${exact}`,
    bindings: bindings(dtype, dtype),
    params: RESIZE_PARAMS,
    body: () => /* wgsl */ `
${load4("x", dtype)}
${elementAt("x")}
${store4("y", dtype)}
${COORDINATES}
fn nearest(i: u32, n: u32, m: u32) -> u32 { return min(${source}, n - 1u); }
fn value(e: u32) -> ${type} {
  let p = place_of(e);
  let batch = p.frame / params.out_frames;
  let t = batch * params.frames + nearest(p.frame % params.out_frames, params.frames, params.out_frames);
  let y = nearest(p.y, params.height, params.out_height);
  let x = nearest(p.x, params.width, params.out_width);
  let line = t * params.frame_lines + y - params.first_input;
  let at = (line * params.width + x) * params.channels + p.c;
  return ${vector ? "load4_x(at >> 2u)" : "at_x(at)"};
}
${storeValues(vector)}`,
  });
}

export const POOL_PARAMS = { ...RESIZE_PARAMS, factor_t: "u32", factor_h: "u32", factor_w: "u32" } as const;

export function averagePoolKernel({ dtype, vector }: ResizeSpec) {
  const type = vector ? "vec4f" : "f32";
  return defineKernel({
    inBounds: true,
    name: "average_pool",
    key: `${dtype},${vector}`,
    bindings: bindings(dtype, dtype),
    params: POOL_PARAMS,
    body: () => /* wgsl */ `
${load4("x", dtype)}
${elementAt("x")}
${store4("y", dtype)}
${COORDINATES}
fn value(e: u32) -> ${type} {
  let p = place_of(e);
  let batch = p.frame / params.out_frames;
  let first = batch * params.frames + (p.frame % params.out_frames) * params.factor_t;
  var sum = ${vector ? "vec4f(0.0)" : "0.0"};
  for (var t = 0u; t < params.factor_t; t++) {
    for (var y = 0u; y < params.factor_h; y++) {
      for (var x = 0u; x < params.factor_w; x++) {
        let line = (first + t) * params.frame_lines + p.y * params.factor_h + y - params.first_input;
        let at = (line * params.width + p.x * params.factor_w + x) * params.channels + p.c;
        sum += ${vector ? "load4_x(at >> 2u)" : "at_x(at)"};
      }
    }
  }
  return sum / f32(params.factor_t * params.factor_h * params.factor_w);
}
${storeValues(vector)}`,
  });
}

export function rgbFramesKernel(dtype: FloatDType) {
  return defineKernel({
    inBounds: true,
    name: "to_rgb_frames",
    key: dtype,
    bindings: [
      { name: "x", type: vec4Type(dtype), access: "read" },
      { name: "y", type: "array<u32>", access: "read_write" },
    ],
    params: { count: "u32" },
    body: () => /* wgsl */ `
${load4("x", dtype)}
${flatMain(/* wgsl */ `
  if (i * 4u >= params.count) { return; }
  let v = round(clamp(load4_x(i) * 0.5 + 0.5, vec4f(0.0), vec4f(1.0)) * 255.0);
  let b = vec4u(v);
  y[i] = b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);`)}`,
  });
}
