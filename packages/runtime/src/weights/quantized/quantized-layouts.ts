/** Test data: tensors of a checkpoint in every layout of codes and scales, each with its plain twin. */
import type { TensorToWrite } from "../safetensors-writer.js";

export type Codes = "F8_E4M3" | "F8_E5M2" | "I8";

/** Value of one code, bit by bit; the code under test uses tables. */
export function valueOfCode(code: number, dtype: Codes): number {
  if (dtype === "I8") return (code << 24) >> 24;
  const [bias, fractionBits] = dtype === "F8_E4M3" ? [7, 3] : [15, 2];
  const exponent = (code & 127) >> fractionBits;
  const fraction = code % 2 ** fractionBits;
  const size =
    exponent === 0
      ? fraction * 2 ** (1 - bias - fractionBits)
      : (2 ** fractionBits + fraction) * 2 ** (exponent - bias - fractionBits);
  return code & 128 ? -size : size;
}

/** Nearest code of finite value. */
function nearestCodes(dtype: Codes): (value: number) => number {
  const finite = { F8_E4M3: 127, F8_E5M2: 124, I8: 128 }[dtype];
  const codes = Array.from({ length: 256 }, (_, code) => code)
    .filter((code) => dtype === "I8" || (code & 127) < finite)
    .map((code) => ({ code, value: valueOfCode(code, dtype) }))
    .sort((one, other) => one.value - other.value);
  return (value) => {
    let [low, high] = [0, codes.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (codes[middle]!.value <= value) low = middle;
      else high = middle;
    }
    return (codes[high]!.value - value < value - codes[low]!.value ? codes[high]! : codes[low]!).code;
  };
}

export interface Layout {
  readonly dtype: Codes;
  /** Names of the codes and of the scale, from the plain name. */
  readonly names: (name: string) => readonly [codes: string, scale: string];
  /** Shape of the scales for a tensor. */
  readonly scales: (shape: readonly number[]) => readonly number[];
  /** What the codes are divided by besides. */
  readonly divisor?: number;
  /** Whether config.json must say what the scales are. */
  readonly isStated?: boolean;
}

const siblings = (
  dtype: Codes,
  scaleName: (parameter: string) => string,
  scales: Layout["scales"],
): Layout => ({
  dtype,
  names: (name) => {
    const dot = name.lastIndexOf(".") + 1;
    return [name, name.slice(0, dot) + scaleName(name.slice(dot))];
  },
  scales,
});
const quanto = (dtype: Codes, scales: Layout["scales"]): Layout => ({
  dtype,
  names: (name) => [`${name}._data`, `${name}._scale`],
  scales,
});
const blocks = (rows: number, columns: number) => (shape: readonly number[]) => [
  Math.ceil(shape[0]! / rows),
  Math.ceil((shape[1] ?? 1) / columns),
];
const perRow = (shape: readonly number[]) => [shape[0]!];

/** By a name for messages. */
export const LAYOUTS: Readonly<Record<string, Layout>> = {
  "fp8, scale_weight of one": siblings(
    "F8_E4M3",
    (p) => `scale_${p}`,
    () => [1],
  ),
  "fp8, weight_scale without an axis": siblings(
    "F8_E4M3",
    (p) => `${p}_scale`,
    () => [],
  ),
  "fp8 e5m2, scale_weight": siblings(
    "F8_E5M2",
    (p) => `scale_${p}`,
    () => [1],
  ),
  "fp8, weight_scale per row": siblings("F8_E4M3", (p) => `${p}_scale`, perRow),
  "fp8, weight_scale of [rows, 1]": siblings(
    "F8_E4M3",
    (p) => `${p}_scale`,
    (s) => [s[0]!, ...s.slice(1).map(() => 1)],
  ),
  "fp8, weight_scale_inv in blocks of 128": siblings("F8_E4M3", (p) => `${p}_scale_inv`, blocks(128, 128)),
  "fp8, weight_scale in blocks of 16 by 32": siblings("F8_E4M3", (p) => `${p}_scale`, blocks(16, 32)),
  "int8, weight_scale per row": { ...siblings("I8", (p) => `${p}_scale`, perRow), isStated: true },
  "int8, weight_scale of one": {
    ...siblings(
      "I8",
      (p) => `${p}_scale`,
      () => [1],
    ),
    isStated: true,
  },
  "int8, SCB": { ...siblings("I8", () => "SCB", perRow), divisor: 127 },
  "quanto int8": quanto("I8", (s) => [s[0]!, ...s.slice(1).map(() => 1)]),
  "quanto float8 by columns": quanto("F8_E4M3", (s) => [1, ...s.slice(1)]),
};

export interface Twin {
  readonly quantized: Record<string, TensorToWrite>;
  readonly plain: Record<string, { shape: readonly number[]; values: Float32Array }>;
}

/** `values` of one tensor in `layout`. Scales are the largest magnitude of their block, by the largest code. */
export function quantize(name: string, shape: readonly number[], values: Float32Array, layout: Layout): Twin {
  const { dtype, divisor = 1 } = layout;
  const [codesName, scaleName] = layout.names(name);
  const scaleShape = layout.scales(shape);
  const [down = 1, across = 1] = scaleShape;
  const rows = shape[0] ?? 1;
  const columns = values.length / rows;
  const size = (length: number, count: number) =>
    count === 1
      ? length
      : count === length
        ? 1
        : [128, 16, 32].find((block) => Math.ceil(length / block) === count)!;
  const [high, wide] = [size(rows, down), size(columns, across)];
  const scaleAt = (i: number) =>
    Math.floor(Math.floor(i / columns) / high) * across + Math.floor((i % columns) / wide);
  const scales = new Float32Array(down * across);
  for (let i = 0; i < values.length; i++)
    scales[scaleAt(i)] = Math.max(scales[scaleAt(i)]!, Math.abs(values[i]!));
  const largest = { F8_E4M3: 448, F8_E5M2: 57344, I8: 127 }[dtype] / divisor;
  for (let i = 0; i < scales.length; i++) scales[i] = (scales[i] || 1) / largest;
  const nearest = nearestCodes(dtype);
  const codes = Uint8Array.from(values, (value, i) => nearest((value * divisor) / scales[scaleAt(i)]!));
  const plain = Float32Array.from(
    codes,
    (code, i) => (valueOfCode(code, dtype) * scales[scaleAt(i)]!) / divisor,
  );
  return {
    quantized: {
      [codesName]: { dtype, shape, data: codes },
      [scaleName]: { dtype: "F32", shape: scaleShape, data: scales },
    },
    plain: { [name]: { shape, values: plain } },
  };
}
