/** Shader text for reading packed weights four at a time. Their layouts: `weights/packed/packed-blocks.ts`. */
import { type PackedDType, packedBlock } from "../tensor/dtype.js";

/** `fn load4_<name>(i) -> vec4f`: numbers 4i to 4i+3 of a binding `array<u32>`. */
export function loadPacked4(name: string, dtype: PackedDType): string {
  const { elements, words } = packedBlock(dtype);
  return /* wgsl */ `${dtype === "f8_e4m3" ? E4M3 : ""}
fn load4_${name}(i: u32) -> vec4f {
  let base = (i / ${elements / 4}u) * ${words}u;
  let j = i % ${elements / 4}u;
${body(name, dtype)}
}`;
}

/** Four codes of E4M3 in the low bytes. Numbers below 2^-6 have no leading one. */
const E4M3 = /* wgsl */ `fn e4m3(codes: vec4u) -> vec4f {
  let normal = bitcast<vec4f>(((codes & vec4u(0x7fu)) << vec4u(20u)) + vec4u(120u << 23u));
  let size = select(normal, vec4f(codes & vec4u(7u)) * 0.001953125, (codes & vec4u(0x78u)) == vec4u(0u));
  return select(size, -size, (codes & vec4u(0x80u)) != vec4u(0u));
}`;

function body(name: string, dtype: PackedDType): string {
  const bytes = `vec4u(word, word >> 8u, word >> 16u, word >> 24u)`;
  switch (dtype) {
    case "q8_0":
      return /* wgsl */ `  let word = ${name}[base + j];
  let codes = vec4i(${bytes} << vec4u(24u)) >> vec4u(24u);
  return vec4f(codes) * unpack2x16float(${name}[base + 16u])[j >> 3u];`;
    case "q4_0":
      return /* wgsl */ `  let word = ${name}[base + (j >> 1u)] >> (16u * (j & 1u));
  let codes = vec4u(word, word >> 4u, word >> 8u, word >> 12u) & vec4u(15u);
  return (vec4f(codes) - 8.0) * unpack2x16float(${name}[base + 8u])[j >> 3u];`;
    case "q4_k":
    case "q5_k":
      return /* wgsl */ `  let part = j >> 3u;
  let word = ${name}[base + ${dtype === "q4_k" ? 4 : 12}u + 8u * (part >> 1u) + (j & 7u)] >> (4u * (part & 1u));
  let fifth = ${dtype === "q4_k" ? "0u" : `${name}[base + 4u + (j & 7u)] >> part`};
  let codes = (${bytes} & vec4u(15u)) | ((vec4u(fifth, fifth >> 8u, fifth >> 16u, fifth >> 24u) & vec4u(1u)) << vec4u(4u));
  // Bytes 0 to 3, 4 to 7 and 8 to 11 of the scales, each shifted to this part's.
  let at = 8u * (part & 3u);
  let a = ${name}[base + 1u] >> at;
  let b = ${name}[base + 2u] >> at;
  let c = ${name}[base + 3u] >> at;
  let low = vec2u(a & 63u, b & 63u);
  let high = vec2u((c & 15u) | ((a >> 2u) & 48u), ((c >> 4u) & 15u) | ((b >> 2u) & 48u));
  let factors = unpack2x16float(${name}[base]) * vec2f(select(low, high, part >= 4u));
  return factors.x * vec4f(codes) - factors.y;`;
    case "q6_k":
      // Halves of 128 numbers, each of four runs of 32 that share bytes.
      return /* wgsl */ `  let run = (j >> 3u) & 3u;
  let word = ${name}[base + 16u * (j >> 5u) + 8u * (run & 1u) + (j & 7u)] >> (4u * (run >> 1u));
  let top = ${name}[base + 32u + 8u * (j >> 5u) + (j & 7u)] >> (2u * run);
  let high = vec4u(top, top >> 8u, top >> 16u, top >> 24u) & vec4u(3u);
  let codes = vec4i((${bytes} & vec4u(15u)) | (high << vec4u(4u))) - vec4i(32);
  let scale = bitcast<i32>(${name}[base + 48u + (j >> 4u)] << (24u - 8u * ((j >> 2u) & 3u))) >> 24u;
  return (unpack2x16float(${name}[base + 52u]).x * f32(scale)) * vec4f(codes);`;
    case "f8_e4m3":
      return /* wgsl */ `  let word = ${name}[base + j];
  return e4m3(${bytes} & vec4u(0xffu)) * bitcast<f32>(${name}[base + 16u]);`;
    case "f8_e5m2":
      return /* wgsl */ `  let word = ${name}[base + j];
  let low = unpack2x16float(((word & 0xffu) << 8u) | ((word & 0xff00u) << 16u));
  let high = unpack2x16float(((word & 0xff0000u) >> 8u) | (word & 0xff000000u));
  return vec4f(low, high) * bitcast<f32>(${name}[base + 16u]);`;
    default:
      return dtype satisfies never;
  }
}
