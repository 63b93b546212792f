/** Finds the weights of one component (transformer, vae, text_encoder) in a folder of the diffusers format. */
import { checkOptionKinds } from "../errors.js";
import { onOneLine } from "../printable.js";
import { SCALED_DTYPES, type ScaledDType } from "./converted-tensor.js";
import type { FolderReader } from "./folder.js";
import { weightsError } from "./header.js";
import { openSafetensors } from "./safetensors-weights.js";
import { openShardedSafetensors } from "./shard-index.js";
import type { WeightSource } from "./weight-source.js";

/** Second files of a checkpoint that hold the same tensors in fewer bits. */
export type WeightsVariant = "fp16" | "bf16";

export interface OpenWeightsOptions {
  /** Only this variant. Default: the plain files, and where there are none, a variant that is there. */
  readonly variant?: WeightsVariant;
  /** Type that tensors with scales are read as. Default F32. */
  readonly scaledDType?: ScaledDType;
}

/** Base name of diffusers models (transformers and autoencoders). */
export const DIFFUSERS_WEIGHTS = "diffusion_pytorch_model";
/** Base name of text and image encoders. */
export const TRANSFORMERS_WEIGHTS = "model";

/**
 * Opens `<baseName>.safetensors`, or the shards of `<baseName>.safetensors.index.json`, from the top of `folder`
 * (see `subFolder`); where both are there, the one that diffusers or transformers would take. `<baseName>.gguf`, with the
 * names of the class, is read where neither is there. Gives plain tensors: 8-bit
 * codes and their scales become floats when they are read (see `plainWeights`). The caller closes the result.
 * @throws WeightsError `NOT_FOUND`, which names what was looked for and what is there instead;
 *   `UNSUPPORTED_QUANTIZATION`, `ADAPTER_IN_WEIGHTS`; UsageError `BAD_OPTION`
 */
export async function openWeights(
  folder: FolderReader,
  baseName: string,
  options: OpenWeightsOptions = {},
): Promise<WeightSource> {
  const kinds = { variant: ["fp16", "bf16"], scaledDType: SCALED_DTYPES };
  checkOptionKinds<OpenWeightsOptions>(kinds, options, "openWeights");
  const { scaledDType = "F32" } = options;
  const elsewhere = await folder.weights?.("");
  if (elsewhere) return elsewhere;
  const variants = options.variant ? [options.variant] : [undefined, "bf16" as const, "fp16" as const];
  const candidates = variants.flatMap((variant) => candidateNames(baseName, variant));
  for (const name of candidates) {
    if (!(await folder.exists(name))) continue;
    if (name.endsWith(".gguf")) {
      const { openGguf } = await import("./gguf/gguf-weights.js");
      return openGguf(await folder.open(name), { scaledDType });
    }
    // Comes with the first weights, as what reads them does.
    const { readQuantizationConfig } = await import("./quantized/refuse-config.js");
    const quantization = await readQuantizationConfig(folder);
    const source = name.endsWith(".json")
      ? await openShardedSafetensors(folder, name)
      : await openSafetensors(await folder.open(name));
    try {
      const { plainWeights } = await import("./quantized/plain-weights.js");
      return await plainWeights(source, { ...quantization, scaledDType });
    } catch (error) {
      await source.close();
      throw error;
    }
  }
  const names = await folder.list();
  const dangling = candidates.find((name) => names.includes(name));
  throw dangling === undefined ? notFound(folder, names, candidates) : leadsNowhere(folder, dangling);
}

/** A name that is listed and not there: the Hub's cache is made of links. */
function leadsNowhere(folder: FolderReader, name: string): Error {
  return weightsError("NOT_FOUND", "this is a link to a file that is not there.", {
    where: `${folder.name}/${name}`,
    fix: "Download the checkpoint again: the file that the link leads to was removed, or never came.",
  });
}

/**
 * The names that diffusers and transformers write, for one variant. Where there are both shards and a single file (left
 * over from another download), diffusers takes the shards and transformers the single file.
 */
function candidateNames(baseName: string, variant: WeightsVariant | undefined): string[] {
  if (!variant) {
    const names = [`${baseName}.safetensors`, `${baseName}.safetensors.index.json`];
    return [...(baseName === DIFFUSERS_WEIGHTS ? names.reverse() : names), `${baseName}.gguf`];
  }
  return [
    `${baseName}.${variant}.safetensors`,
    `${baseName}.safetensors.index.${variant}.json`,
    `${baseName}.${variant}.safetensors.index.json`,
  ];
}

function notFound(folder: FolderReader, files: readonly string[], candidates: readonly string[]): Error {
  const ending = (...endings: string[]) => files.filter((file) => endings.some((end) => file.endsWith(end)));
  const pickled = ending(".bin", ".pt", ".pth", ".ckpt");
  const partial = ending(".incomplete", ".part", ".crdownload");
  const other = ending(".safetensors", ".safetensors.index.json");
  const gguf = ending(".gguf");
  let fix = "Point to a checkpoint folder in the diffusers format, downloaded whole.";
  if (other.length > 0) fix = `The folder holds ${list(other)}: rename them, or ask for that variant.`;
  if (pickled.length > 0)
    fix = `The folder holds ${list(pickled)}: convert to safetensors (only that is read).`;
  if (gguf.length > 0)
    fix = `The folder holds ${list(gguf)}: give it by its own name, as the file of that component.`;
  if (partial.length > 0) fix = `The folder holds ${list(partial)}: finish the download.`;
  return weightsError("NOT_FOUND", `no weights: looked for ${candidates.join(", ")}.`, {
    where: folder.name,
    fix,
  });
}

function list(names: readonly string[]): string {
  const more = names.length - 3;
  const shown = names.slice(0, 3).map((name) => onOneLine(name, 120));
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}
