/** Shader that sums magnitudes: every thread walks over elements a grid apart and keeps its own two sums. */
import { defineKernel } from "../../kernel/kernel.js";
import { load4, vec4Type } from "../../kernel/wgsl.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import type { FloatDType } from "../../tensor/dtype.js";

export function absoluteSumsKernel(dtypeA: FloatDType, dtypeB: FloatDType) {
  return defineKernel({
    inBounds: true,
    name: "absolute_sums",
    key: `${dtypeA},${dtypeB}`,
    bindings: [
      { name: "a", type: vec4Type(dtypeA), access: "read" },
      { name: "b", type: vec4Type(dtypeB), access: "read" },
      { name: "sums", type: "array<vec2f>", access: "read_write" },
    ],
    params: { count: "u32", threads: "u32", first: "u32" },
    body: () => /* wgsl */ `
${load4("a", dtypeA)}
${load4("b", dtypeB)}
${flatMain(/* wgsl */ `
  if (i >= params.threads) { return; }
  var difference = vec4f(0.0);
  var magnitude = vec4f(0.0);
  for (var at = i * 4u; at < params.count; at += params.threads * 4u) {
    let there = vec4u(at) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.count);
    let one = load4_a(at >> 2u);
    let other = load4_b(at >> 2u);
    difference += select(vec4f(0.0), abs(one - other), there);
    magnitude += select(vec4f(0.0), abs(other), there);
  }
  let all = vec4f(1.0);
  sums[params.first + i] = vec2f(dot(difference, all), dot(magnitude, all));`)}`,
  });
}
