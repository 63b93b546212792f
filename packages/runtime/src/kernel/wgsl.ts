/** Shader text for reading and writing stored floats as f32, one or four at a time. */
import type { FloatDType } from "../tensor/dtype.js";

/** WGSL element type of a binding read and written four elements at a time (`load4_x`, `store4_x`). */
export function vec4Type(dtype: FloatDType): string {
  return dtype === "f32" ? "array<vec4f>" : "array<vec2u>";
}

/** WGSL element type of a binding read one element at a time (`load_x`). */
export function scalarType(dtype: FloatDType): string {
  return dtype === "f32" ? "array<f32>" : "array<u32>";
}

/** `fn load4_<name>(i) -> vec4f`: elements 4i to 4i+3 of a binding declared with `vec4Type`. */
export function load4(name: string, dtype: FloatDType): string {
  return `fn load4_${name}(i: u32) -> vec4f { ${widen4(`${name}[i]`, dtype)} }`;
}

function widen4(value: string, dtype: FloatDType): string {
  switch (dtype) {
    case "f32":
      return `return ${value};`;
    case "f16":
      return `let w = ${value}; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));`;
    case "bf16":
      return `let w = ${value}; return bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u));`;
    default:
      return dtype satisfies never;
  }
}

/** `fn load_<name>(i) -> f32`: element i of a binding declared with `scalarType`. */
export function load1(name: string, dtype: FloatDType): string {
  switch (dtype) {
    case "f32":
      return `fn load_${name}(i: u32) -> f32 { return ${name}[i]; }`;
    case "f16":
      return `fn load_${name}(i: u32) -> f32 { let w = unpack2x16float(${name}[i >> 1u]); return select(w.x, w.y, (i & 1u) == 1u); }`;
    case "bf16":
      return `fn load_${name}(i: u32) -> f32 { let w = ${name}[i >> 1u]; return bitcast<f32>(select(w << 16u, w & 0xffff0000u, (i & 1u) == 1u)); }`;
    default:
      return dtype satisfies never;
  }
}

/** `fn at_<name>(i) -> f32`: element i of a binding that already has `load4_<name>`. For widths that are no multiple of 4. */
export function elementAt(name: string): string {
  return `fn at_${name}(i: u32) -> f32 { return load4_${name}(i >> 2u)[i & 3u]; }`;
}

/** The u32 that holds two elements of a two-byte type, of a `vec2f` expression. bf16 needs `PACK_BF16`. */
export function pack2(value: string, dtype: "f16" | "bf16"): string {
  return `${dtype === "f16" ? "pack2x16float" : "pack_bf16"}(${value})`;
}

export const PACK_BF16 = /* wgsl */ `fn pack_bf16(v: vec2f) -> u32 {
  let w = bitcast<vec2u>(v);
  let r = (w + 0x7fffu + ((w >> vec2u(16u)) & vec2u(1u))) >> vec2u(16u);
  return r.x | (r.y << 16u);
}`;

/**
 * `fn store_<name>(i, v)`: writes element i of a binding declared with `scalarType`. Halves of a word must belong to one
 * thread.
 */
export function store1(name: string, dtype: FloatDType): string {
  if (dtype === "f32") return `fn store_${name}(i: u32, v: f32) { ${name}[i] = v; }`;
  return /* wgsl */ `${dtype === "bf16" ? `${PACK_BF16}\n` : ""}fn store_${name}(i: u32, v: f32) {
  let bits = ${pack2("vec2f(v, 0.0)", dtype)} & 0xffffu;
  let old = ${name}[i >> 1u];
  ${name}[i >> 1u] = select((old & 0xffff0000u) | bits, (old & 0xffffu) | (bits << 16u), (i & 1u) == 1u);
}`;
}

/** `fn store4_<name>(i, v)`: writes elements 4i to 4i+3, rounding to the stored type (half to even). */
export function store4(name: string, dtype: FloatDType): string {
  const head = `fn store4_${name}(i: u32, v: vec4f)`;
  switch (dtype) {
    case "f32":
      return `${head} { ${name}[i] = v; }`;
    case "f16":
      return `${head} { ${name}[i] = vec2u(${pack2("v.xy", dtype)}, ${pack2("v.zw", dtype)}); }`;
    case "bf16":
      return `${PACK_BF16}\n${head} { ${name}[i] = vec2u(${pack2("v.xy", dtype)}, ${pack2("v.zw", dtype)}); }`;
    default:
      return dtype satisfies never;
  }
}

/**
 * Stores the four elements `v` at vector `i` of `<name>`, of which those from `count` on may belong to a neighbour in the
 * same buffer: they are written back as they were. Needs `load4_<name>` and `store4_<name>`.
 */
export function storeTail(name: string, i: string, count: string): string {
  return /* wgsl */ `if (4u * ${i} + 4u > ${count}) {
    v = select(load4_${name}(${i}), v, vec4u(4u * ${i}) + vec4u(0u, 1u, 2u, 3u) < vec4u(${count}));
  }
  store4_${name}(${i}, v);`;
}

/** Activation functions by name, on vec4f: `act_<name>(v)`. */
export type Activation = "gelu" | "gelu_tanh" | "silu" | "relu" | "relu2";

export function activationSource(activation: Activation): string {
  // Exponents are clamped: WGSL lets an implementation assume that nothing overflows to infinity.
  switch (activation) {
    case "silu":
      return "fn act_silu(v: vec4f) -> vec4f { return v / (1.0 + exp(min(-v, vec4f(80.0)))); }";
    case "relu":
      return "fn act_relu(v: vec4f) -> vec4f { return max(v, vec4f(0.0)); }";
    case "relu2":
      return "fn act_relu2(v: vec4f) -> vec4f { let r = max(v, vec4f(0.0)); return r * r; }";
    case "gelu_tanh":
      // 0.5 (1 + tanh(u)) = 1 / (1 + exp(-2u)), which neither cancels for negative u nor overflows.
      return `fn act_gelu_tanh(v: vec4f) -> vec4f {
  let u = 0.7978845608028654 * (v + 0.044715 * v * v * v);
  return v / (1.0 + exp(min(-2.0 * u, vec4f(80.0))));
}`;
    case "gelu":
      // v Phi(v) = max(v, 0) - |v| erfc(|v| / sqrt 2) / 2 has no cancellation where v is negative. The polynomial is
      // a least-maximum fit of exp(x^2) erfc(x) in t = 1 / (1 + x / 2) for x up to 10, good to 5e-8 of its value.
      return `fn act_gelu(v: vec4f) -> vec4f {
  let x = min(abs(v) * 0.7071067811865476, vec4f(10.0));
  let t = 1.0 / (1.0 + 0.5 * x);
  let p = t * (0.28208643 + t * (0.2823753 + t * (0.24310374 + t * (0.20268698 + t * (-0.026625954 + t * (0.2780676 + t * (-0.4872003 + t * (0.28457516 + t * -0.059069004))))))));
  return max(v, vec4f(0.0)) - 0.5 * abs(v) * p * exp(-x * x);
}`;
    default:
      return activation satisfies never;
  }
}
