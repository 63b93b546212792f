/**
 * The parameters of a model as names and shapes, without numbers in them: what a checkpoint has to hold, what it
 * weighs, and (through `rows`) how many multiplications each weight takes part in.
 */

/**
 * What a weight matrix is multiplied with: one row for every token of that kind. `sample` is one row per video
 * (timestep embeddings and what is computed from them), `unused` takes no part in making a video.
 */
export type RowKind =
  | "video"
  | "text"
  | "text_and_video"
  | "sample"
  | "image"
  | "prompt"
  | "glyph"
  | "unused";

export interface ParameterTensor {
  /** Key in the safetensors file. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Set on weight matrices of transformers; biases, norms and embeddings have none. */
  readonly rows?: RowKind;
  /** A matrix that is read by `linear` alone: it may stay quantized in GPU memory. */
  readonly isLinear?: true;
}

interface LinearOptions {
  readonly rows?: RowKind | undefined;
  /** Default true. */
  readonly bias?: boolean;
}

/** Collects parameters; `at("blocks.0")` gives a list that writes into this one with a prefix. */
export class ParameterList {
  readonly #tensors: ParameterTensor[];
  readonly #prefix: string;

  constructor(prefix = "", tensors: ParameterTensor[] = []) {
    this.#prefix = prefix;
    this.#tensors = tensors;
  }

  get tensors(): readonly ParameterTensor[] {
    return this.#tensors;
  }

  at(name: string): ParameterList {
    return new ParameterList(`${this.#prefix}${name}.`, this.#tensors);
  }

  tensor(name: string, shape: readonly number[], rows?: RowKind): void {
    const full = this.#prefix + name;
    this.#tensors.push(rows === undefined ? { name: full, shape } : { name: full, shape, rows });
  }

  /** `name.weight [outputs, inputs]` and `name.bias [outputs]`. */
  linear(name: string, outputs: number, inputs: number, options: LinearOptions = {}): void {
    const { rows, bias = true } = options;
    this.#tensors.push({
      ...{ name: `${this.#prefix}${name}.weight`, shape: [outputs, inputs], isLinear: true },
      ...(rows === undefined ? {} : { rows }),
    });
    if (bias) this.tensor(`${name}.bias`, [outputs]);
  }

  /** `name.weight [outputs, inputs, ...kernel]` and `name.bias [outputs]`. */
  conv(
    name: string,
    outputs: number,
    inputs: number,
    kernel: readonly number[],
    options: LinearOptions = {},
  ): void {
    this.#weightAndBias(name, [outputs, inputs, ...kernel], options);
  }

  /** Layer or group norm: `name.weight [size]` and `name.bias [size]`. */
  norm(name: string, size: number): void {
    this.tensor(`${name}.weight`, [size]);
    this.tensor(`${name}.bias`, [size]);
  }

  /** Root-mean-square norm: `name.weight [size]`. */
  scale(name: string, size: number): void {
    this.tensor(`${name}.weight`, [size]);
  }

  #weightAndBias(name: string, shape: readonly number[], { rows, bias = true }: LinearOptions): void {
    this.tensor(`${name}.weight`, shape, rows);
    if (bias) this.tensor(`${name}.bias`, [shape[0]!]);
  }
}

/** Vectors, and modulation tables such as `[1, 6, C]`, have at most this many rows. */
const TABLE_ROWS = 8;

/** Whether a tensor is f32 on the GPU whatever its file says: biases, norms, tables. */
export function isSmallTensor(shape: readonly number[]): boolean {
  return elementCount(shape) <= TABLE_ROWS * Math.max(1, ...shape);
}

/** Elements of one tensor. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
