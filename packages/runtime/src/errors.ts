/**
 * One error family for all `@lvsa/*` packages. A message says what was seen and what was expected, with
 * numbers; `fix` says what to type, set or install. `isLvsaError` works across two copies of this package.
 */

const MARKER = Symbol.for("lvsa.error");

export interface LvsaErrorOptions {
  /** What the user can do about it, as one sentence. */
  readonly fix?: string;
  /** Where it happened: a file, a tensor name, a kernel. */
  readonly where?: string;
  readonly cause?: unknown;
}

/** Base class of every error thrown on purpose. `code` is stable and machine-readable, in UPPER_SNAKE_CASE. */
export class LvsaError extends Error {
  readonly code: string;
  readonly fix: string | undefined;
  readonly where: string | undefined;
  /** @internal */
  readonly [MARKER] = true;

  constructor(code: string, message: string, options: LvsaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.fix = options.fix;
    this.where = options.where;
  }

  /** Message and fix as the command line shows them. */
  describe(): string {
    const where = this.where ? `${this.where}: ` : "";
    return `${where}${this.message}${this.fix ? `\nFix: ${this.fix}` : ""}`;
  }
}

/** No adapter, a lost device, a missing feature, a shader that does not compile, too little memory. */
export class DeviceError extends LvsaError {}
/** Tensors whose shapes or dtypes do not fit together. */
export class ShapeError extends LvsaError {}
/** Missing, truncated or malformed weights and checkpoints. */
export class WeightsError extends LvsaError {}
/** Bad options: command line, environment, JSON files, function arguments. */
export class ConfigError extends LvsaError {}
/** A plugin or attention hook that can not be installed or refused to run. */
export class HookError extends LvsaError {}
/** The caller's `AbortSignal` fired. */
export class AbortError extends LvsaError {}

export function isLvsaError(value: unknown): value is LvsaError {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[MARKER] === true;
}

/** Throws `ShapeError` unless `condition` holds. */
export function assertShape(condition: boolean, message: string, fix?: string): asserts condition {
  if (!condition) throw new ShapeError("SHAPE_MISMATCH", message, fix === undefined ? {} : { fix });
}
