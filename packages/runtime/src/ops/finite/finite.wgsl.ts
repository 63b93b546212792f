/** Shader that counts what is no number: every thread walks over elements a grid apart and keeps its own count. */
import { defineKernel } from "../../kernel/kernel.js";
import { load4, vec4Type } from "../../kernel/wgsl.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import type { FloatDType } from "../../tensor/dtype.js";

export function notFiniteKernel(dtype: FloatDType) {
  return defineKernel({
    inBounds: true,
    name: "not_finite",
    key: dtype,
    bindings: [
      { name: "x", type: vec4Type(dtype), access: "read" },
      { name: "counts", type: "array<u32>", access: "read_write" },
    ],
    params: { count: "u32", threads: "u32", first: "u32" },
    body: () => /* wgsl */ `
${load4("x", dtype)}
${flatMain(/* wgsl */ `
  if (i >= params.threads) { return; }
  var found = 0u;
  for (var at = i * 4u; at < params.count; at += params.threads * 4u) {
    // By exponent bits: WGSL lets an implementation assume that there is no NaN in arithmetic.
    let odd = (bitcast<vec4u>(load4_x(at >> 2u)) & vec4u(0x7f800000u)) == vec4u(0x7f800000u);
    let there = vec4u(at) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.count);
    let hits = select(vec4u(0u), vec4u(1u), odd & there);
    found += hits.x + hits.y + hits.z + hits.w;
  }
  counts[params.first + i] = found;`)}`,
  });
}
