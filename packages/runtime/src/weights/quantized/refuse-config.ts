/** `quantization_config` of a component's config.json: which methods leave weights that can be read here. */

import { quoted } from "../../printable.js";
import type { FolderReader } from "../folder.js";
import { weightsError } from "../header.js";

export interface QuantizationConfig {
  /** `weight_block_size`: rows and columns under one scale. */
  readonly block?: readonly [rows: number, columns: number] | undefined;
  /** The method, where the configuration names one. */
  readonly method?: string | undefined;
}

/**
 * Methods that keep 8-bit codes and scales side by side, each under names that `findQuantized` knows. What their
 * tensors hold is checked there.
 */
const READABLE = new Set(["fp8", "fbgemm_fp8", "compressed-tensors", "modelopt", "quanto"]);
/** Formats of compressed-tensors with one code per byte. */
const UNPACKED = new Set(["float-quantized", "int-quantized", "naive-quantized", "dense"]);

export const PLAIN_WEIGHTS_FIX =
  "Use the checkpoint in bf16 or f16, or one in fp8 or int8 with scales (see the list in the README of @lvsa/runtime).";

/**
 * Reads `config.json` beside the weights. No file, or none that says anything of quantization, is fine.
 * @throws WeightsError `UNSUPPORTED_QUANTIZATION` that names the method
 */
export async function readQuantizationConfig(folder: FolderReader): Promise<QuantizationConfig> {
  const none = {};
  if (!(await folder.exists("config.json"))) return none;
  let config: unknown;
  try {
    config = JSON.parse(await folder.readText("config.json"));
  } catch {
    // Whoever reads the configuration itself says what is wrong with it.
    return none;
  }
  // Models with a text part keep its configuration, and sometimes this entry, one level down.
  const { quantization_config: outer, text_config: text } = Object(config) as Record<string, unknown>;
  const stated = outer ?? (Object(text) as Record<string, unknown>).quantization_config;
  if (stated === undefined || stated === null) return none;
  return check(Object(stated) as Record<string, unknown>, `${folder.name}/config.json`);
}

function check(config: Record<string, unknown>, where: string): QuantizationConfig {
  const refuse = (what: string): Error =>
    weightsError(
      "UNSUPPORTED_QUANTIZATION",
      `the weights are quantized with ${what}, which can not be read.`,
      { where, fix: PLAIN_WEIGHTS_FIX },
    );
  const method = typeof config.quant_method === "string" ? config.quant_method : "an unnamed method";
  if (method === "bitsandbytes" || config.load_in_4bit === true || config.load_in_8bit === true) {
    const bits =
      config.load_in_4bit === true ? `4 bit, ${quoted(config.bnb_4bit_quant_type ?? "fp4", 20)}` : "8 bit";
    throw refuse(`bitsandbytes (${bits})`);
  }
  if (!READABLE.has(method)) throw refuse(quoted(method));
  const format = config.format;
  if (method === "compressed-tensors" && typeof format === "string" && !UNPACKED.has(format))
    throw refuse(`${quoted(method)} in the format ${quoted(format)}`);
  const transforms = config.transform_config;
  if (typeof transforms === "object" && transforms !== null && Object.keys(transforms).length > 0)
    throw refuse(`${quoted(method)} after a rotation of the weights (transform_config)`);
  const algorithm = config.quant_algo;
  if (method === "modelopt" && typeof algorithm === "string" && !/^FP8/i.test(algorithm))
    throw refuse(`${quoted(method)} with ${quoted(algorithm)}`);
  const kind = config.weights_dtype ?? config.weights;
  if (method === "quanto" && typeof kind === "string" && !/^(q?int8|q?float8(_\w+)?)$/.test(kind))
    throw refuse(`${quoted(method)} with ${quoted(kind)}`);
  return { block: blockOf(config, refuse), method };
}

function blockOf(
  config: Record<string, unknown>,
  refuse: (what: string) => Error,
): QuantizationConfig["block"] {
  const block = config.weight_block_size;
  if (block === undefined || block === null) return undefined;
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) > 0;
  if (Array.isArray(block) && block.length === 2 && block.every(isSize)) return block as [number, number];
  throw refuse(`blocks of ${quoted(block)} (weight_block_size)`);
}
