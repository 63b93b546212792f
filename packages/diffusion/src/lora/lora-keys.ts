/** The keys of a LoRA file, in the forms that PEFT, the models' own repositories and kohya's tools write. */

/**
 * What a tensor is: `down` and `up` are the factors A and B of a product, `alpha` its weight; `diff`, `diff_b` and
 * `diff_m` are added to a weight, a bias, a modulation table.
 */
export type LoraPart = "down" | "up" | "alpha" | "diff" | "diff_b" | "diff_m";

export interface LoraKey {
  readonly key: string;
  /** Name of the module without what files put in front. */
  readonly module: string;
  readonly part: LoraPart;
  /** The transformer that the key names, if it does. */
  readonly component: string | undefined;
}

const PARTS: readonly (readonly [RegExp, LoraPart])[] = [
  [/\.lora_(?:down|A)(?:\.default)?\.weight$/, "down"],
  [/\.lora_(?:up|B)(?:\.default)?\.weight$/, "up"],
  [/\.alpha$/, "alpha"],
  [/\.diff$/, "diff"],
  [/\.diff_b$/, "diff_b"],
  [/\.diff_m$/, "diff_m"],
];

const PREFIX =
  /^(?:base_model\.model\.)?(?:model\.diffusion_model\.|diffusion_model\.|(transformer(?:_2)?)\.)?/;
/** Before names whose dots became underscores. */
const UNDERSCORED = ["lora_unet_", "lora_transformer_"] as const;

/** Undefined for a key that is of no known form. */
export function parseLoraKey(key: string): LoraKey | undefined {
  for (const [ending, part] of PARTS) {
    if (!ending.test(key)) continue;
    const path = key.replace(ending, "");
    const [prefix, component] = PREFIX.exec(path)!;
    return { key, part, module: path.slice(prefix.length), component };
  }
  return undefined;
}

/** A module's name as kohya's tools write it, once for each prefix that they put in front. */
export function underscoredNames(module: string): string[] {
  return UNDERSCORED.map((prefix) => prefix + module.replaceAll(".", "_"));
}
