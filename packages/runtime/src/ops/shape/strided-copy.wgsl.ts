/** Shader that copies elements between strided places, as raw bits in units of 1 to 16 bytes. */
import { defineKernel, type ParamTypes } from "../../kernel/kernel.js";
import { flatMain } from "../../kernel/wgsl-threads.js";

/** Bytes moved at a time. 1 and 2: every thread gathers one 32-bit word of a contiguous output. */
export type CopyUnit = 1 | 2 | 4 | 8 | 16;

export interface StridedCopySpec {
  readonly unit: CopyUnit;
  readonly rank: number;
  /** Units of 1 and 2 bytes: each run of the innermost axis fills whole words, and runs may lie anywhere. */
  readonly runs: boolean;
}

/** Parameters: count of units, then sizes `n`, input strides `s` and output strides `t` per axis, outermost first. */
export function stridedCopyParams(rank: number): ParamTypes {
  const params: Record<string, "u32"> = { count: "u32", start: "u32", target_start: "u32" };
  for (const prefix of ["n", "s", "t"]) for (let d = 0; d < rank; d++) params[`${prefix}${d}`] = "u32";
  return params;
}

export function stridedCopyKernel(spec: StridedCopySpec) {
  const { unit, rank, runs } = spec;
  const type = unit === 16 ? "array<vec4u>" : unit === 8 ? "array<vec2u>" : "array<u32>";
  return defineKernel({
    inBounds: true,
    name: "strided_copy",
    key: `${unit}x${rank}${runs ? ",runs" : ""}`,
    bindings: [
      { name: "x", type, access: "read" },
      { name: "y", type, access: "read_write" },
    ],
    params: stridedCopyParams(rank),
    body: () => {
      if (unit !== 1 && unit !== 2) return wholeWords(rank);
      return runs ? wordsOfRuns(rank, unit) : partsOfWords(rank, unit);
    },
  });
}

/** Splits linear index `rest` into coordinates from the innermost axis out, adding up the strides of `names`. */
function walk(rank: number, names: readonly { variable: string; stride: string }[]): string {
  const lines: string[] = [];
  for (let d = rank - 1; d >= 0; d--) {
    const last = d === 0;
    if (!last) lines.push(`q = rest / params.n${d};`);
    for (const { variable, stride } of names) {
      lines.push(`${variable} += ${last ? "rest" : `(rest - q * params.n${d})`} * params.${stride}${d};`);
    }
    if (!last) lines.push("rest = q;");
  }
  return lines.join("\n  ");
}

function wholeWords(rank: number): string {
  const names = [
    { variable: "source", stride: "s" },
    { variable: "place", stride: "t" },
  ];
  return flatMain(/* wgsl */ `
  if (i >= params.count) { return; }
  var source = params.start;
  var place = params.target_start;
  var rest = i;
  ${rank > 1 ? "var q = 0u;" : ""}
  ${walk(rank, names)}
  y[place] = x[source];`);
}

function partsOfWords(rank: number, unit: 1 | 2): string {
  const perWord = 4 / unit;
  const bits = 8 * unit;
  return /* wgsl */ `
fn element_bits(element: u32) -> u32 {
  var source = params.start;
  var rest = element;
  ${rank > 1 ? "var q = 0u;" : ""}
  ${walk(rank, [{ variable: "source", stride: "s" }])}
  return (x[source / ${perWord}u] >> ((source % ${perWord}u) * ${bits}u)) & ${2 ** bits - 1}u;
}
${flatMain(/* wgsl */ `
  if (i * ${perWord}u >= params.count) { return; }
  var word = 0u;
  for (var k = 0u; k < ${perWord}u; k++) {
    let e = i * ${perWord}u + k;
    if (e < params.count) { word |= element_bits(e) << (k * ${bits}u); }
  }
  y[params.target_start / ${perWord}u + i] = word;`)}`;
}

/** Counts and sizes are in words along the innermost axis; strides stay those of elements. */
function wordsOfRuns(rank: number, unit: 1 | 2): string {
  const perWord = 4 / unit;
  const bits = 8 * unit;
  const inner = rank - 1;
  const names = [
    { variable: "source", stride: "s" },
    { variable: "place", stride: "t" },
  ];
  // The innermost coordinate counts words: its strides are taken once more for the other elements of the word.
  return flatMain(/* wgsl */ `
  if (i >= params.count) { return; }
  let more = ${perWord - 1}u * (i % params.n${inner});
  var source = params.start + more * params.s${inner};
  var place = params.target_start + more;
  var rest = i;
  ${rank > 1 ? "var q = 0u;" : ""}
  ${walk(rank, names)}
  var word = 0u;
  for (var k = 0u; k < ${perWord}u; k++) {
    let e = source + k * params.s${inner};
    word |= ((x[e / ${perWord}u] >> ((e % ${perWord}u) * ${bits}u)) & ${2 ** bits - 1}u) << (k * ${bits}u);
  }
  y[place / ${perWord}u] = word;`);
}
