/**
 * One error family for all `@lvsa/*` packages. A message says what was seen and what was expected, with
 * numbers; `fix` says what to type, set or install. `isLvsaError` works across two copies of this package.
 */

import { printable } from "./printable.js";

const MARKER = Symbol.for("lvsa.error");

/**
 * Whose fault an error is; every code of a package has one.
 * - `usage`: what was asked can not be (an option, an argument): asking for something else mends it.
 * - `input`: what was given can not be used (a path, a file, a folder, a checkpoint, a package): giving another mends it.
 * - `run`: what was asked and given is right as far as anyone knows, and the run failed: GPU, memory, disk, network, another
 *   process, or a program that calls this library out of order.
 */
export type ErrorFault = "usage" | "input" | "run";

export interface LvsaErrorOptions {
  /** What the user can do about it, as one sentence. */
  readonly fix?: string;
  /** Where it happened: a file, a tensor name, a kernel. */
  readonly where?: string;
  readonly cause?: unknown;
  /** Whose fault it is, where that is not what the class says. */
  readonly fault?: ErrorFault;
}

/** Base class of every error thrown on purpose. `code` is stable and machine-readable, in UPPER_SNAKE_CASE. */
export class LvsaError extends Error {
  /** Whose fault the errors of this class are, unless one says otherwise. */
  static readonly fault: ErrorFault = "run";

  readonly code: string;
  readonly fix: string | undefined;
  readonly where: string | undefined;
  /** Programs end with their code for wrong usage where it is not `run`. */
  readonly fault: ErrorFault;
  /** @internal */
  readonly [MARKER] = true;

  constructor(code: string, message: string, options: LvsaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.fix = options.fix;
    this.where = options.where;
    this.fault = options.fault ?? new.target.fault;
  }

  /** The caller asked for what can not be. */
  get isUsage(): boolean {
    return this.fault === "usage";
  }

  /** Message and fix as the command line shows them. No character of a file or an address reaches a terminal as a command. */
  describe(): string {
    const where = this.where ? `${this.where.replaceAll("\n", "\\n")}: ` : "";
    return printable(`${where}${this.message}${this.fix ? `\nFix: ${this.fix}` : ""}`);
  }
}

/** No adapter, a lost device, a missing feature, a shader that does not compile, too little memory. */
export class DeviceError extends LvsaError {}
/** Tensors whose shapes or dtypes do not fit together. */
export class ShapeError extends LvsaError {}
/** Missing, truncated or malformed weights and checkpoints. */
export class WeightsError extends LvsaError {
  static override readonly fault: ErrorFault = "input";
}
/** Bad settings: JSON files, states that a call does not fit. */
export class ConfigError extends LvsaError {
  static override readonly fault: ErrorFault = "input";
}
/** Bad options: command line, environment, function arguments. The caller can mend it by asking for something else. */
export class UsageError extends ConfigError {
  static override readonly fault: ErrorFault = "usage";

  constructor(code: string, message: string, options: Omit<LvsaErrorOptions, "fault"> = {}) {
    super(code, message, options);
  }
}
/** A plugin or attention hook that can not be installed or refused to run. */
export class HookError extends LvsaError {
  static override readonly fault: ErrorFault = "input";
}
/** The caller's `AbortSignal` fired. */
export class AbortError extends LvsaError {}

export function isLvsaError(value: unknown): value is LvsaError {
  return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[MARKER] === true;
}

/**
 * The one rule of stopping: every stage calls this between two pieces of work.
 *
 * @param what is stopped, for the message, e.g. `loading the weights`
 * @throws AbortError `ABORTED` when the signal has fired; its `cause` is the caller's reason
 */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw new AbortError("ABORTED", `${what} was stopped`, { cause: signal.reason });
}

/** Throws `ShapeError` unless `condition` holds. */
export function assertShape(condition: boolean, message: string, fix?: string): asserts condition {
  if (!condition) throw new ShapeError("SHAPE_MISMATCH", message, fix === undefined ? {} : { fix });
}
