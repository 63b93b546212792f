/** A checkpoint's tensors against what its class and configuration ask for. */
import type { ModelClass, ResolvedConfig, TensorShapes } from "../model-class.js";
import type { ParameterTensor } from "../parameter-list.js";

export interface WrongShape {
  readonly name: string;
  readonly expected: readonly number[];
  readonly found: readonly number[];
}

export interface ParameterCheck {
  /** The configuration with what could only be read off the file. */
  readonly config: ResolvedConfig;
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
 * @throws ConfigError for a bad config
 */
export function checkParameters(
  modelClass: ModelClass,
  config: unknown,
  found: TensorShapes,
): ParameterCheck {
  const declared = modelClass.parseConfig(config);
  const prefix = bestPrefix(modelClass, modelClass.parameters(declared), found);
  const shapes = new Map(
    [...found]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, shape]) => [name.slice(prefix.length), shape]),
  );
  const resolved = { ...declared, ...modelClass.inferConfig(shapes) };

  const missing: ParameterTensor[] = [];
  const wrongShape: WrongShape[] = [];
  const used = new Set<string>();
  for (const tensor of modelClass.parameters(resolved)) {
    const alias = modelClass.aliases[tensor.name];
    const names = [tensor.name, ...(alias === undefined ? [] : [alias])].filter((name) => shapes.has(name));
    if (names[0] === undefined) missing.push(tensor);
    // Under both names it is the same tensor twice.
    for (const name of names) {
      used.add(name);
      const shape = shapes.get(name)!;
      if (!sameSizes(shape, tensor.shape))
        wrongShape.push({ name: prefix + name, expected: tensor.shape, found: shape });
    }
  }
  const rest = [...found.keys()].filter(
    (name) => !(name.startsWith(prefix) && used.has(name.slice(prefix.length))),
  );
  const isIgnored = (name: string) => modelClass.ignored.some((pattern) => pattern.test(name));
  return {
    config: resolved,
    prefix,
    missing,
    wrongShape,
    unexpected: rest.filter((name) => !isIgnored(name)),
    ignored: rest.filter(isIgnored),
  };
}

function bestPrefix(
  modelClass: ModelClass,
  expected: readonly ParameterTensor[],
  found: TensorShapes,
): string {
  let best = "";
  let most = 0;
  for (const prefix of modelClass.prefixes) {
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
