/** What the definitions and the configs say of one model. */
import { ConfigError } from "@lvsa/runtime";
import type { VideoModelDefinition } from "../models/definition/define-model.js";
import type {
  AttentionShape,
  ComponentConfigs,
  ModelDefaults,
  ModelGeometry,
  TokenRows,
} from "../models/definition/video-model.js";
import { findModelClass, findVideoModel, getModelClass, unknownModelClass } from "../models/model-classes.js";
import type { ComponentDescription, ModelDescription } from "./model-description.js";

type Components = Readonly<Record<string, ComponentDescription>>;

/** Parses the configs of all components whose class is known. @throws ConfigError for a bad config */
export function componentConfigs(components: Components): ComponentConfigs {
  const known = Object.entries(components).filter(([, component]) => findModelClass(component.className));
  return Object.fromEntries(
    known.map(([name, { className, config }]) => [name, getModelClass(className).parseConfig(config, name)]),
  );
}

/** What the definitions say of one model. */
export interface ModelShape {
  readonly definition: VideoModelDefinition;
  readonly configs: ComponentConfigs;
  readonly geometry: ModelGeometry;
  readonly rows: TokenRows;
  readonly attention: AttentionShape;
}

/**
 * @param tokens other token counts than the pipeline's, e.g. `{ text: 300 }` for a prompt that is not padded
 * @throws ConfigError `MISSING_COMPONENT`, `UNKNOWN_MODEL_CLASS`, or for a bad config
 */
export function modelShape(
  model: Pick<ModelDescription, "name" | "components" | "geometry"> &
    Partial<Pick<ModelDescription, "defaults">>,
  tokens: TokenRows = {},
): ModelShape {
  for (const name of ["transformer", "vae"]) {
    if (model.components[name] === undefined) {
      throw new ConfigError("MISSING_COMPONENT", `${model.name} has no component ${name}.`, {
        fix: "Give a whole checkpoint folder in the diffusers format.",
      });
    }
  }
  const definition = videoModelOf(model.components);
  const configs = componentConfigs(model.components);
  const rows = { ...definition.video.rows(configs, model.defaults?.maxSequenceLength), ...tokens };
  return {
    definition,
    configs,
    geometry: { ...definition.video.geometry(configs), ...model.geometry },
    rows,
    attention: definition.video.attention(configs, rows),
  };
}

/** The defaults that follow from a model's configs. @throws ConfigError as `modelShape` */
export function modelDefaults(components: Components): ModelDefaults {
  return videoModelOf(components).video.defaults(componentConfigs(components));
}

function videoModelOf(components: Components): VideoModelDefinition {
  const className = components.transformer?.className ?? "";
  const found = findVideoModel(className);
  if (!found) throw unknownModelClass(className);
  return found;
}
