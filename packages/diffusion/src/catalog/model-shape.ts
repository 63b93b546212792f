/** What the family's rules and the configs say of one model. */
import { ConfigError } from "@lvsa/runtime";
import { cogVideoXRules } from "./families/cogvideox.js";
import { cosmos3Rules } from "./families/cosmos3.js";
import { hunyuanRules } from "./families/hunyuan.js";
import { wanRules } from "./families/wan.js";
import type {
  AttentionShape,
  ComponentConfigs,
  FamilyRules,
  ModelGeometry,
  TokenRows,
} from "./family-rules.js";
import { findModelClass, getModelClass } from "./model-classes.js";
import type { ComponentDescription, ModelDescription, ModelFamily } from "./model-description.js";

const RULES: readonly FamilyRules[] = [wanRules, hunyuanRules, cogVideoXRules, cosmos3Rules];

export function familyRules(family: ModelFamily): FamilyRules {
  return RULES.find((rules) => rules.family === family)!;
}

/** The family that a transformer class belongs to. */
export function familyOfTransformer(className: string): FamilyRules | undefined {
  return RULES.find((rules) => rules.transformerClass === className);
}

/** Parses the configs of all components whose class is known. @throws ConfigError for a bad config */
export function componentConfigs(
  components: Readonly<Record<string, ComponentDescription>>,
): ComponentConfigs {
  const known = Object.entries(components).filter(([, component]) => findModelClass(component.className));
  return Object.fromEntries(
    known.map(([name, { className, config }]) => [name, getModelClass(className).parseConfig(config, name)]),
  );
}

/** What the family's rules say of one model. */
export interface ModelShape {
  readonly rules: FamilyRules;
  readonly configs: ComponentConfigs;
  readonly geometry: ModelGeometry;
  readonly rows: TokenRows;
  readonly attention: AttentionShape;
}

/**
 * @param tokens other token counts than the pipeline's, e.g. `{ text: 300 }` for a prompt that is not padded
 * @throws ConfigError `MISSING_COMPONENT`, or for a bad config
 */
export function modelShape(model: ModelDescription, tokens: TokenRows = {}): ModelShape {
  for (const name of ["transformer", "vae"]) {
    if (model.components[name] === undefined) {
      throw new ConfigError("MISSING_COMPONENT", `${model.name} has no component ${name}.`, {
        fix: "Give a whole checkpoint folder in the diffusers format.",
      });
    }
  }
  const rules = familyRules(model.family);
  const configs = componentConfigs(model.components);
  const rows = { ...rules.rows(configs), ...tokens };
  return {
    rules,
    configs,
    geometry: rules.geometry(configs),
    rows,
    attention: rules.attention(configs, rows),
  };
}
