/** `lora_adapter_metadata` in a file's header: what PEFT knew of the LoRA. Source: `LoraConfig` of peft. */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";
import { compileNamePatterns, type NamePattern } from "./name-patterns.js";

/** What the metadata says of one module. */
export interface PeftModule {
  /** Undefined where the metadata states none: then it is the rank. */
  readonly alpha: number | undefined;
  /** Undefined where the metadata states none: then it is that of the tensors. */
  readonly rank: number | undefined;
  /** Whether the factor is alpha / sqrt(rank) instead of alpha / rank. */
  readonly rootOfRank: boolean;
}

export interface PeftMetadata {
  /**
   * @param component what the file calls the transformer
   * @param module name in the file, without what is put in front
   */
  of(component: string, module: string): PeftModule | undefined;
  /** What was said and changes nothing, one line each. */
  readonly notes: readonly string[];
}

const rank = z.int().positive();
const alpha = z.number();
const schema = z.looseObject({
  lora_alpha: alpha.nullish(),
  r: rank.nullish(),
  alpha_pattern: z.record(z.string(), alpha).nullish(),
  rank_pattern: z.record(z.string(), rank).nullish(),
  use_rslora: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
});

/** Settings with which a LoRA is no sum of a weight and a product, where they are set. */
const OTHER_METHODS = [
  ...["use_dora", "use_qalora", "use_bdlora", "alora_invocation_tokens", "arrow_config", "kasa_config"],
  ...["monteclora_config", "layer_replication"],
] as const;
/** Ways to begin a training that change the model's own weights as well: the file alone is not the whole change. */
const CHANGES_THE_BASE = /^(pissa|olora|corda|loftq|lora_ga)/i;

interface Settings {
  readonly alpha: number | undefined;
  readonly rank: number | undefined;
  readonly rootOfRank: boolean;
  readonly alphas: readonly NamePattern<number>[];
  readonly ranks: readonly NamePattern<number>[];
  readonly transposed: boolean;
}

/**
 * @param file name, for errors
 * @throws ConfigError `BAD_JSON`, `BAD_CONFIG`
 */
export async function parsePeftMetadata(
  metadata: Readonly<Record<string, string>>,
  file: string,
): Promise<PeftMetadata | undefined> {
  const text = metadata.lora_adapter_metadata;
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError("BAD_JSON", "lora_adapter_metadata in the file's header is not JSON", {
      where: file,
      cause,
    });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw badMetadata("it is no object", file);
  }
  // Every key begins with the name of the component; files of one component may leave it out.
  const groups = new Map<string, Record<string, unknown>>();
  for (const [key, value] of Object.entries(json)) {
    const [, component = "", field] = /^(?:([a-z0-9_]+)\.)?(.*)$/s.exec(key)!;
    groups.set(component, { ...groups.get(component), [field!]: value });
  }
  const settings = new Map<string, Settings>();
  for (const [component, fields] of groups) settings.set(component, await parseSettings(fields, file));
  const transposed = [...settings.values()].some((one) => one.transposed);
  return {
    of: (component, module) => {
      const found = settings.get(component) ?? settings.get("");
      if (!found) return undefined;
      return {
        alpha: found.alphas.find(({ matches }) => matches(module))?.value ?? found.alpha,
        rank: found.ranks.find(({ matches }) => matches(module))?.value ?? found.rank,
        rootOfRank: found.rootOfRank,
      };
    },
    // As PEFT does for linear layers, which the transformers are made of.
    notes: transposed ? ["fan_in_fan_out of its metadata has no effect on linear layers"] : [],
  };
}

async function parseSettings(fields: Record<string, unknown>, file: string): Promise<Settings> {
  const parsed = schema.safeParse(fields);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw badMetadata(`${issue?.path.join(".")}: ${issue?.message}`, file);
  }
  const { data } = parsed;
  const method = OTHER_METHODS.find((name) => isSet(data[name]));
  if (method !== undefined) throw badMetadata(`${method} is not supported`, file);
  const start = data.init_lora_weights;
  if (typeof start === "string" && CHANGES_THE_BASE.test(start)) {
    const problem = `init_lora_weights is ${JSON.stringify(start)}, which changes the model's own weights too`;
    throw badMetadata(problem, file);
  }
  return {
    alpha: data.lora_alpha ?? undefined,
    rank: data.r ?? undefined,
    rootOfRank: data.use_rslora ?? false,
    alphas: await compileNamePatterns(data.alpha_pattern ?? {}, "alpha_pattern", file),
    ranks: await compileNamePatterns(data.rank_pattern ?? {}, "rank_pattern", file),
    transposed: data.fan_in_fan_out ?? false,
  };
}

function isSet(value: unknown): boolean {
  return typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value);
}

function badMetadata(problem: string, file: string): ConfigError {
  return new ConfigError("BAD_CONFIG", `lora_adapter_metadata: ${problem}`, {
    where: file,
    fix: "Use a LoRA of products alone, as PEFT or diffusers wrote it.",
  });
}
