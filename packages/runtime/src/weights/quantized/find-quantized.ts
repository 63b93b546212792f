/** Which tensors of a file are codes, which are their scales, and which are left over from quantizing. */
import { quoted } from "../../printable.js";
import { weightsError } from "../header.js";
import type { TensorInfo, WeightSource } from "../weight-source.js";
import { type CodeDType, isCodeDType } from "./codes.js";
import { unsupported } from "./refuse-names.js";
import { type ScaleGrid, scaleGrid } from "./scale-grid.js";

/** One plain tensor that the file keeps as codes. */
export interface QuantizedTensor {
  /** Name of the codes in the file. */
  readonly codes: string;
  readonly dtype: CodeDType;
  readonly shape: readonly number[];
  /** Absent for a plain cast, whose codes are the values. */
  readonly scale?: { readonly name: string; readonly divisor: number; readonly grid: ScaleGrid };
}

export interface QuantizedLayout {
  /** By plain name. */
  readonly tensors: ReadonlyMap<string, QuantizedTensor>;
  /** Names of the file that no model asks for: scales, markers, and what concerns activations only. */
  readonly hidden: ReadonlySet<string>;
  /** Scales beside a tensor that is plain: they must be one everywhere. Name of the tensor by that of its scale. */
  readonly besidePlain: ReadonlyMap<string, string>;
}

const SCALE_DTYPES = new Set(["F32", "F16", "BF16", "F64"]);

/**
 * Scales of activations. Activations are not quantized here, and a scale that is divided out before a product and
 * multiplied back after it changes nothing but their rounding.
 */
const OF_ACTIVATIONS = /^((input|output)_scale(_ub)?|scale_(input|output)|[qkv]_scale)$/;
/** Words in names of tensors that belong to the codes beside them. */
const OF_QUANTIZING = /(^|[._])(scales?|absmax|amax|quant\w*|zeros?|zero_points?|scb)([._]|$)/i;

/** @throws WeightsError `UNSUPPORTED_QUANTIZATION` for codes whose scales are missing or in no layout that is known */
export function findQuantized(
  source: WeightSource,
  block: readonly [rows: number, columns: number] | undefined,
  isStated: (layer: string) => boolean,
): QuantizedLayout {
  const tensors = new Map<string, QuantizedTensor>();
  const hidden = new Set<string>();
  const children = namesByModule(source);
  for (const name of source.names()) {
    const info = source.info(name);
    if (isMarker(name, info)) hidden.add(name);
    if (name.endsWith(".comfy_quant")) hidden.add(name);
    if (!isCodeDType(info.dtype)) {
      refusePackedWeight(source, name, info, children);
      continue;
    }
    if (isMarker(name, info)) continue;
    const plain = name.endsWith("._data") ? name.slice(0, -"._data".length) : name;
    const { module, parameter } = split(plain);
    const scale = findScale(source, plain, info);
    const besides = (children.get(module) ?? []).filter((child) => child !== name && child !== scale?.name);
    if (info.dtype === "I8" && !scale) {
      // Integer tables and counters are not codes; a matrix of them is.
      if (parameter !== "weight" && info.shape.length < 2) continue;
      throw unsupported(source, name, "8-bit integers without scales beside them");
    }
    if (
      info.dtype === "I8" &&
      scale?.divisor === 1 &&
      !name.endsWith("._data") &&
      !isStated(module.slice(0, -1))
    )
      throw unstated(source, scale.name);
    for (const child of besides) {
      const rest = child.slice(module.length);
      if (OF_ACTIVATIONS.test(rest) || (rest === "weight_format" && scale?.name.endsWith("SCB")))
        hidden.add(child);
      else if (module !== "" && belongsToCodes(source, child, rest, parameter))
        throw unsupported(source, child, `a layout with ${quoted(rest)} beside the codes`);
    }
    if (scale) {
      hidden.add(scale.name);
      const scaleInfo = source.info(scale.name);
      if (!SCALE_DTYPES.has(scaleInfo.dtype)) throw unsupported(source, scale.name, mxFormat(scaleInfo));
      const names = { codes: name, scale: scale.name, where: info.file };
      const grid = scaleGrid(info.shape, scaleInfo.shape, block, names);
      tensors.set(plain, {
        ...{ codes: name, dtype: info.dtype, shape: info.shape },
        scale: { name: scale.name, divisor: scale.divisor, grid },
      });
    } else {
      tensors.set(plain, { codes: name, dtype: info.dtype, shape: info.shape });
    }
    if (plain !== name && source.has(plain)) throw unsupported(source, plain, "codes beside the same tensor");
  }
  // Layers that stayed plain may have scales of activations too.
  if (tensors.size > 0) {
    for (const name of source.names())
      if (OF_ACTIVATIONS.test(split(name).parameter) && source.info(name).shape.every((size) => size === 1))
        hidden.add(name);
  }
  return { tensors, hidden, besidePlain: scalesBesidePlain(source, tensors, hidden) };
}

/** Integers whose scale may be one step or the largest magnitude, which is 127 times as much. */
function unstated(source: WeightSource, scale: string): Error {
  return weightsError(
    "UNSUPPORTED_QUANTIZATION",
    `nothing says what ${quoted(scale)} is to its I8 codes: one step, or the largest magnitude (127 steps).`,
    {
      where: source.info(scale).file,
      fix:
        'If values are code times scale, say so in the component\'s config.json: "quantization_config": ' +
        '{"quant_method": "compressed-tensors", "format": "int-quantized"}.',
    },
  );
}

/** The marker of scaled fp8 files: `scaled_fp8`, of none or two elements, whose type says how to multiply. */
function isMarker(name: string, { shape }: TensorInfo): boolean {
  return /(^|\.)scaled_fp8$/.test(name) && shape.reduce((a, b) => a * b, 1) <= 2;
}

function split(name: string): { module: string; parameter: string } {
  const dot = name.lastIndexOf(".") + 1;
  return { module: name.slice(0, dot), parameter: name.slice(dot) };
}

/** Names by the module that they lie in, down to two levels below it (`to_q.weight`, `to_q.weight._scale`). */
function namesByModule(source: WeightSource): Map<string, string[]> {
  const modules = new Map<string, string[]>();
  const add = (module: string, name: string) => {
    const names = modules.get(module);
    if (names) names.push(name);
    else modules.set(module, [name]);
  };
  for (const name of source.names()) {
    const { module } = split(name);
    add(module, name);
    if (module !== "") add(split(module.slice(0, -1)).module, name);
  }
  return modules;
}

/** The scale of `plain` under one of the names that are known. */
function findScale(
  source: WeightSource,
  plain: string,
  { dtype }: TensorInfo,
): { name: string; divisor: number } | undefined {
  const { module, parameter } = split(plain);
  const candidates = [
    `${module}scale_${parameter}`,
    `${plain}_scale`,
    // Its name says "inverse" of what divided the weights: it multiplies the codes like the others.
    `${plain}_scale_inv`,
    `${plain}._scale`,
  ];
  const found = candidates.filter((name) => source.has(name));
  // Rows of LLM.int8(): the largest magnitude of the row, which is the code 127.
  const rows = `${module}SCB`;
  const divisors = new Map(found.map((name) => [name, 1]));
  if (dtype === "I8" && parameter === "weight" && source.has(rows)) divisors.set(rows, 127);
  const [first, second] = divisors;
  if (first && second)
    throw unsupported(source, second[0], `two scales for one tensor (${quoted(first[0])} too)`);
  return first && { name: first[0], divisor: first[1] };
}

/** Whether a neighbour of codes looks as if they meant nothing without it. */
function belongsToCodes(source: WeightSource, child: string, rest: string, parameter: string): boolean {
  if (!OF_QUANTIZING.test(rest) || rest.endsWith("comfy_quant")) return false;
  // Deeper names belong to another parameter's codes or to a module of its own, unless they begin like this one.
  if (rest.includes(".") && !rest.startsWith(parameter)) return false;
  const other = scaledBy(rest);
  return !(other !== undefined && source.has(child.slice(0, -rest.length) + other));
}

/** The parameter that a scale's name speaks of, e.g. `weight` for `scale_weight`. */
function scaledBy(name: string): string | undefined {
  return /^scale_(\w+)$/.exec(name)?.[1] ?? /^(\w+?)(_scale|_scale_inv|\._scale)$/.exec(name)?.[1];
}

function scalesBesidePlain(
  source: WeightSource,
  tensors: ReadonlyMap<string, QuantizedTensor>,
  hidden: ReadonlySet<string>,
): Map<string, string> {
  const scales = new Map<string, string>();
  for (const name of source.names()) {
    const { module, parameter } = split(name);
    const base = scaledBy(parameter);
    if (base === undefined || hidden.has(name) || tensors.has(name)) continue;
    const plain = module + base;
    if ((base === "weight" || base === "bias") && source.has(plain)) scales.set(name, plain);
  }
  return scales;
}

/** A weight of whole bytes that is no code: several numbers share a byte. */
function refusePackedWeight(
  source: WeightSource,
  name: string,
  info: TensorInfo,
  children: ReadonlyMap<string, readonly string[]>,
): void {
  const { module, parameter } = split(name);
  if (parameter !== "weight" || !["U8", "F4", "F6_E2M3", "F6_E3M2"].includes(info.dtype)) return;
  const besides = (children.get(module) ?? []).map((child) => child.slice(module.length));
  const nvidia = besides.includes("weight_scale") && source.info(`${module}weight_scale`).dtype === "F8_E4M3";
  throw unsupported(source, name, nvidia ? "NVFP4" : `a packed format (${info.dtype})`);
}

function mxFormat({ dtype }: TensorInfo): string {
  return dtype === "F8_E8M0" || dtype === "U8"
    ? "an MX format (scales that are exponents)"
    : `scales of ${dtype}`;
}
