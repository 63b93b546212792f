/** What the catalog knows of one model class: its configuration with defaults, and its parameters. */
import { ConfigError } from "@lvsa/runtime";
import type * as z from "zod";
import { ParameterList, type ParameterTensor } from "./parameter-list.js";

export type ModelRole = "transformer" | "autoencoder" | "text encoder" | "image encoder";

/** A parsed config.json: every key of the class with its default, and all other keys as they were. */
export type ResolvedConfig = Readonly<Record<string, unknown>>;

/** Shapes of a file's tensors by name. */
export type TensorShapes = ReadonlyMap<string, readonly number[]>;

export interface ModelClass {
  /** diffusers' or transformers' class name. */
  readonly className: string;
  readonly library: "diffusers" | "transformers";
  readonly role: ModelRole;
  /**
   * Fills in the defaults of the class. `where` names the file in errors.
   *
   * @throws ConfigError `INVALID_MODEL_CONFIG` naming each bad key
   */
  parseConfig(config: unknown, where?: string): ResolvedConfig;
  /** Every parameter that a checkpoint of this configuration holds. @throws ConfigError as `parseConfig` */
  parameters(config: unknown, where?: string): readonly ParameterTensor[];
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
}

interface ModelClassDefinition<Schema extends z.ZodType> {
  readonly className: string;
  readonly library: ModelClass["library"];
  readonly role: ModelRole;
  readonly schema: Schema;
  readonly list: (parameters: ParameterList, config: z.infer<Schema>) => void;
  readonly inferConfig?: (shapes: TensorShapes) => ResolvedConfig;
  readonly aliases?: Readonly<Record<string, string>>;
  readonly prefixes?: readonly string[];
  readonly ignored?: readonly RegExp[];
  readonly layerPattern?: RegExp;
  readonly isResident?: (name: string) => boolean;
}

export function defineModelClass<Schema extends z.ZodType>(
  definition: ModelClassDefinition<Schema>,
): ModelClass {
  const { className, library, role, schema, list } = definition;
  const parse = (config: unknown, where?: string): z.infer<Schema> => {
    const result = schema.safeParse(config);
    if (result.success) return result.data;
    const problems = result.error.issues.map(
      (issue) => `${issue.path.map(String).join(".") || "the file"}: ${issue.message}`,
    );
    throw new ConfigError("INVALID_MODEL_CONFIG", `config of ${className}: ${problems.join("; ")}.`, {
      fix: "Take config.json from the repository that the weights come from.",
      ...(where === undefined ? {} : { where }),
    });
  };
  return {
    className,
    library,
    role,
    parseConfig: (config, where) => parse(config, where) as ResolvedConfig,
    parameters: (config, where) => {
      const parameters = new ParameterList();
      list(parameters, parse(config, where));
      return parameters.tensors;
    },
    inferConfig: definition.inferConfig ?? (() => ({})),
    aliases: definition.aliases ?? {},
    prefixes: definition.prefixes ?? [""],
    ignored: definition.ignored ?? [],
    layerPattern: definition.layerPattern,
    isResident: definition.isResident ?? (() => true),
  };
}
