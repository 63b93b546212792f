/** The keys of a LoRA file, in the forms that PEFT, the models' own repositories and kohya's tools write. */

/**
 * What a tensor is: `down` and `up` are the factors A and B of a product, `alpha` its weight, `up_bias` the bias of B,
 * which has that weight too; `diff`, `diff_b` and `diff_m` are added to a weight, a bias, a modulation table.
 */
export type LoraPart = "down" | "up" | "up_bias" | "alpha" | "diff" | "diff_b" | "diff_m";

export interface LoraKey {
  readonly key: string;
  /** Name of the module without what files put in front. */
  readonly module: string;
  readonly part: LoraPart;
  /** The transformer that the key names, if it does. */
  readonly component: string | undefined;
}

const PARTS: readonly (readonly [RegExp, LoraPart])[] = [
  // PEFT puts the adapter's name before the last word where it is not removed.
  [/\.lora[_.](?:down|A)(?:\.[\w-]+)?\.weight$/, "down"],
  [/\.lora[_.](?:up|B)(?:\.[\w-]+)?\.weight$/, "up"],
  [/\.lora_(?:up|B)(?:\.[\w-]+)?\.bias$/, "up_bias"],
  [/\.alpha$/, "alpha"],
  [/\.diff$/, "diff"],
  [/\.diff_b$/, "diff_b"],
  [/\.diff_m$/, "diff_m"],
];

const PREFIX =
  /^(?:base_model\.model\.)?(?:model\.diffusion_model\.|diffusion_model\.|pipe\.dit\.|(transformer(?:_2)?)\.)?/;
/** Before names whose dots became underscores. */
const UNDERSCORED = ["lora_unet_", "lora_transformer_", "lycoris_"] as const;

const TEXT_ENCODER =
  /^(?:base_model\.model\.)?(?:text_encoders?(?:_\d)?\.|cond_stage_model\.|conditioner\.|(?:lora_|lycoris_)?te\d?[_.]|(?:lora_|lycoris_)(?:text_encoder|text_model))/;

/** Other methods, by tensors that each of them has. */
const OTHER_METHODS: readonly (readonly [RegExp, string])[] = [
  [/(?:^|[._])(?:dora_scale|lora_magnitude_vector)(?:\.|$)/, "DoRA"],
  [/(?:^|[._])hada_(?:w\d_[ab]|t\d)(?:\.|$)/, "LoHa"],
  [/(?:^|[._])lokr_(?:w\d(?:_[ab])?|t\d)(?:\.|$)/, "LoKr"],
  [/(?:^|[._])(?:oft_(?:blocks|diag|R|r|s)|boft_[RPs])(?:\.|$)/, "OFT"],
  [/(?:^|[._])(?:ia3_l|on_input)(?:\.|$)/, "IA3"],
  [/(?:^|[._])(?:a1|a2|b1|b2)\.weight$/, "GLoRA"],
  [/(?:^|[._])lora_mid(?:\.|$)/, "LoCon with a core between the factors"],
  [/(?:^|[._])(?:vera_lambda_[bd]|vera_[AB])(?:\.|$)/, "VeRA"],
  [/(?:^|[._])lora_E(?:\.|$)/, "AdaLoRA"],
  [/(?:^|[._])lora_embedding_[AB](?:\.|$)/, "a LoRA of embeddings"],
];

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

/** What a key belongs to that is not added to a transformer, in words; undefined for any other key. */
export function foreignPurpose(key: string): string | undefined {
  if (TEXT_ENCODER.test(key)) return "for a text encoder, which a LoRA does not change here";
  const method = OTHER_METHODS.find(([pattern]) => pattern.test(key))?.[1];
  return method === undefined ? undefined : `of ${method}, which is not supported`;
}

/** A module's name as kohya's tools write it, once for each prefix that they put in front. */
export function underscoredNames(module: string): string[] {
  return UNDERSCORED.map((prefix) => prefix + module.replaceAll(".", "_"));
}
