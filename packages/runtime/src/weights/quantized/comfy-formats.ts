/** The formats that files written by ComfyUI state per layer, in their metadata or in a tensor beside each layer. */
import { quoted } from "../../printable.js";
import { weightsError } from "../header.js";
import type { WeightSource } from "../weight-source.js";
import { PLAIN_WEIGHTS_FIX } from "./refuse-config.js";

/** Formats whose weights are codes times scales. */
const READABLE = new Set(["float8_e4m3fn", "float8_e5m2", "int8_tensorwise", "int8_rowwise"]);
/** Fields that say how to multiply or how the tensor was before, not what the codes mean. */
const WITHOUT_EFFECT = new Set(["format", "full_precision_matrix_mult", "orig_dtype", "orig_shape"]);
const NOTE = ".comfy_quant";
/** A note is one line of JSON. */
const MAX_NOTE_BYTES = 65_536;

/**
 * Checks every note of the file, and gives the modules that have one. Names there lack `.weight`.
 * @throws WeightsError `UNSUPPORTED_QUANTIZATION` for a format, or a field of one, that is not known
 */
export async function checkComfyFormats(source: WeightSource): Promise<ReadonlySet<string>> {
  const noted = new Set<string>();
  const stated = source.metadata._quantization_metadata;
  if (stated !== undefined) {
    const layers = Object(parse(stated)).layers as unknown;
    for (const [layer, note] of Object.entries(Object(layers))) {
      if (!source.has(`${layer}.weight`)) continue;
      check(layer, note, source.info(`${layer}.weight`).file);
      noted.add(layer);
    }
    // The metadata and the notes of one file are written together.
    if (layers !== undefined) return noted;
  }
  for (const name of source.names()) {
    if (!name.endsWith(NOTE)) continue;
    const { byteLength, file } = source.info(name);
    const text =
      byteLength <= MAX_NOTE_BYTES ? new TextDecoder().decode(await source.read(name)) : "(too long)";
    const layer = name.slice(0, -NOTE.length);
    check(layer, parse(text), file);
    noted.add(layer);
  }
  return noted;
}

function check(layer: string, note: unknown, where: string): void {
  const fields = Object(note) as Record<string, unknown>;
  const format = fields.format;
  const odd = Object.entries(fields).find(
    ([key, value]) => !WITHOUT_EFFECT.has(key) && value !== null && value !== false,
  );
  if (typeof format === "string" && READABLE.has(format) && !odd) return;
  const what =
    typeof format !== "string" || odd === undefined
      ? `the format ${quoted(format ?? null)}`
      : `the format ${quoted(format)} with ${quoted(odd[0])}`;
  throw weightsError(
    "UNSUPPORTED_QUANTIZATION",
    `layer ${quoted(layer)} is quantized in ${what}, which can not be read.`,
    { where, fix: PLAIN_WEIGHTS_FIX },
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
