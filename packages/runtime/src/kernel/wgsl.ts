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

/** `fn store4_<name>(i, v)`: writes elements 4i to 4i+3, rounding to the stored type (half to even). */
export function store4(name: string, dtype: FloatDType): string {
  const head = `fn store4_${name}(i: u32, v: vec4f)`;
  switch (dtype) {
    case "f32":
      return `${head} { ${name}[i] = v; }`;
    case "f16":
      return `${head} { ${name}[i] = vec2u(pack2x16float(v.xy), pack2x16float(v.zw)); }`;
    case "bf16":
      return `fn bf16_${name}(v: vec4f) -> vec4u { let w = bitcast<vec4u>(v); return (w + 0x7fffu + ((w >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u); }
${head} { let w = bf16_${name}(v); ${name}[i] = vec2u(w.x | (w.y << 16u), w.z | (w.w << 16u)); }`;
    default:
      return dtype satisfies never;
  }
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
