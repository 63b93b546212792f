/** A checkpoint's tensors against what its class and configuration ask for. */
import type { ModelDefinition, TensorShapes } from "./define-model.js";
import type { ParameterTensor } from "./parameter-list.js";
import type { ResolvedConfig } from "./resolved-config.js";

export interface WrongShape {
  readonly name: string;
  readonly expected: readonly number[];
  readonly found: readonly number[];
}

export interface ParameterCheck {
  /** The class that the file holds: the one asked for, or its variant. */
  readonly definition: ModelDefinition;
  /** The configuration with what could only be read off the file. */
  readonly config: ResolvedConfig;
  /** Every parameter that is there as it should be, and its name in the file. */
  readonly stored: ReadonlyMap<string, string>;
  /** What the file puts before every name; usually nothing. */
  readonly prefix: string;
  readonly missing: readonly ParameterTensor[];
  /** Names that the class does not have. */
  readonly unexpected: readonly string[];
  readonly wrongShape: readonly WrongShape[];
  /** Tensors that are there, and that the model has no use for. */
  readonly ignored: readonly string[];
}

/**
 * Compares names and shapes.
 *
 * @param found shapes of the file's tensors by name
 * @param where the configuration's file, for errors
 * @throws ConfigError for a bad config
 */
export function checkParameters(
  named: ModelDefinition,
  config: unknown,
  found: TensorShapes,
  where?: string,
): ParameterCheck {
  const definition = named.variant(config, found);
  const declared = definition.parseConfig(config, where);
  const prefix = bestPrefix(definition, definition.parameters(declared), found);
  const shapes = new Map(
    [...found]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, shape]) => [name.slice(prefix.length), shape]),
  );
  const resolved = { ...declared, ...definition.inferConfig(shapes) };

  const missing: ParameterTensor[] = [];
  const wrongShape: WrongShape[] = [];
  const used = new Set<string>();
  const stored = new Map<string, string>();
  for (const tensor of definition.parameters(resolved)) {
    const alias = definition.aliases[tensor.name];
    const names = [tensor.name, ...(alias === undefined ? [] : [alias])].filter((name) => shapes.has(name));
    if (names[0] === undefined) missing.push(tensor);
    // Under both names it is the same tensor twice.
    for (const name of names) {
      used.add(name);
      const shape = shapes.get(name)!;
      if (sameSizes(shape, tensor.shape)) stored.set(tensor.name, prefix + names[0]!);
      else wrongShape.push({ name: prefix + name, expected: tensor.shape, found: shape });
    }
  }
  const rest = [...found.keys()].filter(
    (name) => !(name.startsWith(prefix) && used.has(name.slice(prefix.length))),
  );
  const isIgnored = (name: string) => definition.ignored.some((pattern) => pattern.test(name));
  return {
    ...{ definition, stored },
    config: resolved,
    prefix,
    missing,
    wrongShape,
    unexpected: rest.filter((name) => !isIgnored(name)),
    ignored: rest.filter(isIgnored),
  };
}

function bestPrefix(
  definition: ModelDefinition,
  expected: readonly ParameterTensor[],
  found: TensorShapes,
): string {
  let best = "";
  let most = 0;
  for (const prefix of definition.prefixes) {
    const hits = expected.filter(({ name }) => found.has(prefix + name)).length;
    if (hits > most) {
      most = hits;
      best = prefix;
    }
  }
  return best;
}

function sameSizes(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
