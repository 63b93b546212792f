/**
 * What is known of one model class, in one place: its configuration with the defaults of diffusers or transformers,
 * its parameters with their shapes, which of them stay on the GPU, and for transformers the grid, the attention and the
 * defaults of a generation (`VideoModel`). Loading, planning, inspecting, pipelines and adapters read this and nothing
 * else. No part of it needs a GPU.
 */
import { ConfigError, onOneLine } from "@lvsa/runtime";
import type * as z from "zod";
import type { TileDefaults } from "../autoencoders/tiling/tile-defaults.js";
import { parseConfig } from "../model-config.js";
import { ParameterList, type ParameterTensor } from "./parameter-list.js";
import type { ResolvedConfig } from "./resolved-config.js";
import type { VideoModel } from "./video-model.js";

export type ModelRole = "transformer" | "autoencoder" | "text encoder" | "image encoder";

/** Shapes of a file's tensors by name. */
export type TensorShapes = ReadonlyMap<string, readonly number[]>;

export interface ModelDefinition<Config = ResolvedConfig> {
  /** diffusers' or transformers' class name. */
  readonly className: string;
  /** Names of classes that hold the same model besides other things, e.g. with a language head. */
  readonly otherNames: readonly string[];
  readonly library: "diffusers" | "transformers";
  readonly role: ModelRole;
  /**
   * Fills in the defaults of the class. `where` names the file in errors.
   *
   * @throws ConfigError `BAD_CONFIG` naming each bad key
   */
  parseConfig(config: unknown, where?: string): Config;
  /**
   * `parseConfig` for a model that is to run.
   *
   * @throws ConfigError also `UNSUPPORTED_CONFIG` for what the class allows and this engine does not run
   */
  configToRun(config: unknown, where?: string): Config;
  /** What of a parsed configuration this engine does not run; empty where it runs all. */
  unsupported(config: Config): readonly string[];
  /** Every parameter that a checkpoint of this configuration holds. @throws ConfigError as `parseConfig` */
  parameters(config: unknown, where?: string): readonly ParameterTensor[];
  /** The class whose parameters a file really holds, where its config or its tensors tell it from the named one. */
  variant(config: unknown, shapes: TensorShapes): ModelDefinition<Config>;
  /** Sizes that config.json does not hold, read off the file's tensors. */
  readonly inferConfig: (shapes: TensorShapes) => ResolvedConfig;
  /** Other name under which a file may hold a parameter. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Prefixes that some files put before every name. The first is the usual one. */
  readonly prefixes: readonly string[];
  /** Tensors that a file may hold and that this model does not read. */
  readonly ignored: readonly RegExp[];
  /** Layers that run one after another and can be streamed: the prefix of each layer's names. */
  readonly layerPattern: RegExp | undefined;
  /** Of a transformer: parameters that stay on the GPU; the others are streamed before, or not read at all. */
  readonly isResident: (name: string) => boolean;
  /** Of an autoencoder: the tiles that diffusers cuts its frames into when it is asked to. */
  tiling?(config: Config): TileDefaults;
}

/** A transformer that makes videos. */
export interface VideoModelDefinition<Config = ResolvedConfig> extends ModelDefinition<Config> {
  readonly video: VideoModel;
}

interface DefinitionInput<Schema extends z.ZodType> {
  readonly className: string;
  readonly otherNames?: readonly string[];
  readonly library: ModelDefinition["library"];
  readonly role: ModelRole;
  readonly schema: Schema;
  readonly list: (parameters: ParameterList, config: z.infer<Schema>) => void;
  /** Sentences without a full stop, e.g. `attn_scales [1]`. */
  readonly unsupported?: (config: z.infer<Schema>) => readonly (string | false)[];
  readonly variant?: (config: unknown, shapes: TensorShapes) => ModelDefinition<z.infer<Schema>> | undefined;
  readonly inferConfig?: (shapes: TensorShapes) => ResolvedConfig;
  readonly aliases?: Readonly<Record<string, string>>;
  readonly prefixes?: readonly string[];
  readonly ignored?: readonly RegExp[];
  readonly layerPattern?: RegExp;
  readonly isResident?: (name: string) => boolean;
  readonly tiling?: (config: z.infer<Schema>) => TileDefaults;
}

/** A transformer and the videos that it makes. */
export function defineVideoModel<Schema extends z.ZodType>(
  input: DefinitionInput<Schema> & { readonly video: VideoModel },
): VideoModelDefinition<z.infer<Schema>> {
  return { ...defineModel<Schema>(input), video: input.video };
}

export function defineModel<Schema extends z.ZodType>(
  input: DefinitionInput<Schema>,
): ModelDefinition<z.infer<Schema>> {
  type Config = z.infer<Schema>;
  const { className, library, role, schema, list } = input;
  const parse = (config: unknown, where?: string): Config => parseConfig(schema, config, className, where);
  const unsupported = (config: Config) =>
    (input.unsupported?.(config) ?? []).filter((problem): problem is string => problem !== false);
  const definition: ModelDefinition<Config> = {
    ...{ className, library, role, unsupported, parseConfig: parse },
    otherNames: input.otherNames ?? [],
    configToRun: (config, where) => {
      const parsed = parse(config, where);
      const problems = unsupported(parsed);
      if (problems.length === 0) return parsed;
      throw unsupportedConfig(className, problems, where);
    },
    parameters: (config, where) => {
      const parameters = new ParameterList();
      list(parameters, parse(config, where));
      return parameters.tensors;
    },
    variant: (config, shapes) => input.variant?.(config, shapes) ?? definition,
    inferConfig: input.inferConfig ?? (() => ({})),
    aliases: input.aliases ?? {},
    prefixes: input.prefixes ?? [""],
    ignored: input.ignored ?? [],
    layerPattern: input.layerPattern,
    isResident: input.isResident ?? (() => true),
    ...(input.tiling ? { tiling: input.tiling } : {}),
  };
  return definition;
}

/** The definition of a class by any of its names. */
export function findDefinition<Definition extends ModelDefinition>(
  definitions: readonly Definition[],
  className: string,
): Definition | undefined {
  return definitions.find((known) => known.className === className || known.otherNames.includes(className));
}

/** What was seen and what is known; `start` precedes "unknown model class". */
export function unknownClass(
  start: string,
  className: string,
  definitions: readonly ModelDefinition[],
  where?: string,
): ConfigError {
  const known = definitions.flatMap((one) => [one.className, ...one.otherNames]);
  return new ConfigError(
    "UNKNOWN_MODEL_CLASS",
    `${start} unknown model class ${onOneLine(className)}; known are ${known.join(", ")}.`.trimStart(),
    {
      fix: "Use a checkpoint made of the known classes, or see docs/add-a-model.md.",
      ...(where === undefined ? {} : { where }),
    },
  );
}

/** What helps against `UNSUPPORTED_CONFIG`. */
export const UNSUPPORTED_FIX =
  "Use a checkpoint of a supported kind (see the README), or check the file for a typing error.";

function unsupportedConfig(className: string, problems: readonly string[], where?: string): ConfigError {
  return new ConfigError("UNSUPPORTED_CONFIG", `${className} with ${problems.join(", ")} is not supported`, {
    fix: UNSUPPORTED_FIX,
    ...(where === undefined ? {} : { where }),
  });
}
