/**
 * RIFLEx (arXiv 2502.15894): length extrapolation without training. One temporal rotary frequency, the one
 * whose period is nearest the training length, is slowed down so that its period covers the longer clip;
 * otherwise motion repeats after one period. Independent of the attention pattern, and useful with it.
 */
import { checkOptionKinds, type OptionKinds, UsageError } from "@lvsa/runtime";

const DEFAULT_THETA = 10000;

/**
 * Index of the temporal frequency whose period `2 pi theta^(2j / temporalDim)` is nearest `trainingLength`;
 * the first one on a tie.
 *
 * @param temporalDim part of the head dimension that encodes time.
 * @param trainingLength latent frames the model was trained on.
 */
export function identifyIntrinsicFrequency(
  temporalDim: number,
  trainingLength: number,
  theta: number = DEFAULT_THETA,
): number {
  let best = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (let j = 0; j < Math.floor(temporalDim / 2); j++) {
    const difference = Math.abs(2 * Math.PI * theta ** ((2 * j) / temporalDim) - trainingLength);
    if (difference < smallest) {
      smallest = difference;
      best = j;
    }
  }
  return best;
}

export interface RiflexFrequencyOptions {
  /** Even; half as many frequencies. */
  readonly temporalDim: number;
  /** Which frequency is replaced. */
  readonly k: number;
  /** Target length divided by training length. */
  readonly scale: number;
  readonly trainingLength: number;
  /** Default 10000. */
  readonly theta?: number;
}

const FREQUENCY_KINDS: OptionKinds<RiflexFrequencyOptions> = {
  ...{ temporalDim: "any", k: "any", scale: "any", trainingLength: "any", theta: "any" },
};

/**
 * Temporal rotary frequencies in radians per latent frame, `[temporalDim / 2]`, with frequency `k` replaced by
 * `2 pi / (trainingLength * scale)`.
 *
 * @throws ConfigError when `k` is out of range.
 */
export function riflexFrequencies(options: RiflexFrequencyOptions): Float64Array<ArrayBuffer> {
  checkOptionKinds(FREQUENCY_KINDS, options, "riflexFrequencies");
  const { temporalDim, k, scale, trainingLength, theta = DEFAULT_THETA } = options;
  const count = temporalDim / 2;
  if (!Number.isInteger(k) || k < 0 || k >= count) {
    throw new UsageError(
      "INVALID_RIFLEX_FREQUENCY",
      `RIFLEx frequency ${k} does not exist; this model has ${count} temporal frequencies.`,
      { fix: `Use --riflex-k 0..${count - 1}, or leave it out.` },
    );
  }
  const frequencies = Float64Array.from({ length: count }, (_, j) => 1 / theta ** ((2 * j) / temporalDim));
  frequencies[k] = (2 * Math.PI) / (trainingLength * scale);
  return frequencies;
}

/** Cosines and sines, `[positions, rowLength]` each, row-major; every value stands twice, for columns 2j and 2j + 1. */
export interface RotaryTable<Values extends Float32Array | Float64Array = Float32Array | Float64Array> {
  readonly cos: Values;
  readonly sin: Values;
  /** Values per position: the whole head dimension, or only its temporal part. */
  readonly rowLength: number;
}

/** The temporal part alone, in double precision: `rowLength` is `temporalDim`. */
export function riflexTable(
  options: RiflexFrequencyOptions & { readonly positions: number },
): RotaryTable<Float64Array<ArrayBuffer>> {
  const { positions, ...frequencies } = options;
  const { temporalDim } = frequencies;
  const table = {
    cos: new Float64Array(positions * temporalDim),
    sin: new Float64Array(positions * temporalDim),
    rowLength: temporalDim,
  };
  writeTemporalColumns(table, temporalDim, riflexFrequencies(frequencies));
  return table;
}

export interface RiflexOptions {
  /** The temporal columns come first in each row. */
  readonly temporalDim: number;
  /** Target length divided by training length; 1 changes nothing. */
  readonly scale: number;
  /** Latent frames the model was trained on. */
  readonly trainingLength: number;
  /** Default: `identifyIntrinsicFrequency`. */
  readonly k?: number | undefined;
  readonly theta?: number;
}

/** What was done, for the log. */
export interface RiflexReport {
  readonly k: number;
  readonly scale: number;
  readonly temporalDim: number;
  readonly trainingLength: number;
  readonly applied: boolean;
}

/**
 * Rewrites the temporal columns of a model's rotary table in place. Scale 1 leaves the table alone, so that
 * at training length nothing changes, not even by rounding.
 *
 * @throws ConfigError without a table, or when `k` is out of range.
 */
export function applyRiflex(table: RotaryTable | undefined, options: RiflexOptions): RiflexReport {
  checkOptionKinds(FREQUENCY_KINDS, options as RiflexFrequencyOptions, "applyRiflex");
  const { temporalDim, scale, trainingLength, theta = DEFAULT_THETA } = options;
  if (table === undefined) {
    throw new UsageError(
      "RIFLEX_UNSUPPORTED",
      "This model has no rotary table with a temporal part; RIFLEx can not be applied.",
      { fix: "Leave out --riflex for this model." },
    );
  }
  if (!(scale > 0) || !Number.isFinite(scale)) {
    throw new UsageError("INVALID_RIFLEX_SCALE", `The RIFLEx scale is ${scale}; expected a positive number.`);
  }
  const k = options.k ?? identifyIntrinsicFrequency(temporalDim, trainingLength, theta);
  const applied = scale !== 1;
  if (applied) {
    writeTemporalColumns(
      table,
      temporalDim,
      riflexFrequencies({ temporalDim, k, scale, trainingLength, theta }),
    );
  }
  return { k, scale, temporalDim, trainingLength, applied };
}

function writeTemporalColumns(table: RotaryTable, temporalDim: number, frequencies: Float64Array): void {
  const positions = table.cos.length / table.rowLength;
  for (let position = 0; position < positions; position++) {
    for (let column = 0; column < temporalDim; column++) {
      const angle = position * frequencies[column >> 1]!;
      table.cos[position * table.rowLength + column] = Math.cos(angle);
      table.sin[position * table.rowLength + column] = Math.sin(angle);
    }
  }
}
