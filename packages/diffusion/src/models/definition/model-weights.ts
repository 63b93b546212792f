/** A component's weights, checked against its definition before the first byte of them is read. */
import {
  type ByteRange,
  type MergedTensor,
  type OnChunk,
  onOneLine,
  type PackedTensor,
  PrefixedWeights,
  type TensorInfo,
  uploadedDType,
  type WeightSource,
  WeightsError,
} from "@lvsa/runtime";
import { checkParameters, type ParameterCheck } from "./check-parameters.js";
import type { ModelDefinition } from "./define-model.js";

/** Names listed in a message; the rest is counted. */
const NAMES_IN_MESSAGE = 4;
const FIX = "Use the weights and the config.json of one checkpoint, downloaded whole.";

export interface CheckOptions {
  /** What of the parameters is going to be used; default: all. */
  readonly only?: ((name: string) => boolean) | undefined;
  /** The configuration's file, for errors. */
  readonly where?: string | undefined;
}

export interface WeightsProblem {
  readonly code: "MISSING_TENSOR" | "WRONG_SHAPE" | "WRONG_DTYPE";
  /** Names the tensors. */
  readonly message: string;
  readonly fix: string;
  /** The file of the first tensor; undefined where there is none. */
  readonly file: string | undefined;
}

/**
 * Compares names, shapes and number formats; nothing but headers is read.
 *
 * @throws ConfigError for a bad config
 */
export function checkWeights(
  definition: ModelDefinition,
  config: unknown,
  source: WeightSource,
  { only = () => true, where }: CheckOptions = {},
): ParameterCheck & { readonly problems: readonly WeightsProblem[] } {
  const shapes = new Map(source.names().map((name) => [name, source.info(name).shape]));
  const check = checkParameters(definition, config, shapes, where);
  const problems: WeightsProblem[] = [];
  const file = (name: string) => (source.has(name) ? source.info(name).file : undefined);
  const add = (code: WeightsProblem["code"], start: string, found: { name: string; text: string }[]) => {
    if (found.length === 0) return;
    const message = `${start} ${listed(found.map(({ text }) => text))}.`;
    problems.push({ code, message, fix: FIX, file: file(found[0]!.name) });
  };
  const plain = (name: string) => name.slice(check.prefix.length);
  add(
    "MISSING_TENSOR",
    "missing:",
    check.missing
      .filter(({ name }) => only(name))
      .map(({ name, shape }) => ({ name, text: `${check.prefix}${name} [${shape.join(", ")}]` })),
  );
  add(
    "WRONG_SHAPE",
    "wrong shape:",
    check.wrongShape
      .filter(({ name }) => only(plain(name)))
      .map(({ name, found, expected }) => ({
        name,
        text: `${name} is [${found.join(", ")}], expected [${expected.join(", ")}]`,
      })),
  );
  add(
    "WRONG_DTYPE",
    "no floating point numbers:",
    [...check.stored]
      .filter(([name, stored]) => only(name) && !isFloat(source.info(stored)))
      .map(([, stored]) => ({ name: stored, text: `${stored} is ${source.info(stored).dtype}` })),
  );
  return { ...check, problems };
}

/** The tensors of a file that a definition knows, under the definition's names. Closing it closes nothing. */
export class ModelWeights implements WeightSource {
  readonly totalBytes: number;
  readonly parameterCount: number;
  /** The class that the file holds: the one asked for, or its variant. */
  readonly definition: ModelDefinition;
  /** With what could only be read off the file. */
  readonly config: ParameterCheck["config"];
  /** Tensors of the file that the model has no use for; they are never read. */
  readonly unused: readonly string[];
  readonly #base: WeightSource;
  readonly #stored: ReadonlyMap<string, string>;
  readonly #linear: ReadonlySet<string>;

  private constructor(base: WeightSource, { definition, config, stored, unexpected }: ParameterCheck) {
    this.#base = base;
    this.#linear = new Set(
      definition.parameters(config).flatMap(({ name, isLinear }) => (isLinear ? [name] : [])),
    );
    this.definition = definition;
    this.config = config;
    // In the order of the file, which is read from front to back.
    const names = new Map([...stored].map(([name, there]) => [there, name]));
    this.#stored = new Map(
      base.names().flatMap((there) => (names.has(there) ? [[names.get(there)!, there]] : [])),
    );
    this.unused = unexpected;
    const infos = [...this.#stored.values()].map((name) => base.info(name));
    this.totalBytes = infos.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.parameterCount = infos.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  }

  /**
   * @throws WeightsError `MISSING_TENSOR`, `WRONG_SHAPE`, `WRONG_DTYPE` naming tensors and file; ConfigError for a bad
   * config
   */
  static check(
    definition: ModelDefinition,
    config: unknown,
    source: WeightSource,
    options: CheckOptions = {},
  ): ModelWeights {
    const check = checkWeights(definition, config, source, options);
    const [problem] = check.problems;
    if (!problem) return new ModelWeights(source, check);
    const { code, message, fix, file } = problem;
    throw new WeightsError(code, `${definition.className}: ${message}`, {
      ...{ fix, where: file ?? filesOf(source) },
    });
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#base.metadata;
  }

  names(): string[] {
    return [...this.#stored.keys()];
  }

  has(name: string): boolean {
    return this.#stored.has(name);
  }

  info(name: string): TensorInfo {
    return this.#base.info(this.#name(name));
  }

  read(name: string, range?: ByteRange): Promise<Uint8Array> {
    return this.#base.read(this.#name(name), range);
  }

  stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    return this.#base.stream(this.#name(name), chunkBytes, onChunk, range);
  }

  /** Of weights that `linear` alone reads; all others are floats. */
  packed(name: string): PackedTensor | undefined {
    return this.#linear.has(name) ? this.#base.packed?.(this.#name(name)) : undefined;
  }

  merged(name: string): MergedTensor | undefined {
    return this.#base.merged?.(this.#name(name));
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {}

  #name(name: string): string {
    return this.#stored.get(name) ?? name;
  }
}

function isFloat({ dtype }: TensorInfo): boolean {
  try {
    return ["f32", "f16", "bf16"].includes(uploadedDType(dtype));
  } catch {
    return false;
  }
}

function filesOf(source: WeightSource): string {
  return listed([...new Set(source.names().map((name) => source.info(name).file))]);
}

/** A few of the names, and how many more there are. */
export function listed(names: readonly string[]): string {
  const more = names.length - NAMES_IN_MESSAGE;
  const shown = names
    .slice(0, NAMES_IN_MESSAGE)
    .map((name) => onOneLine(name))
    .join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}
