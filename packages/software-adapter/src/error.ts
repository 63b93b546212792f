/**
 * Failures of the embedded driver. Same shape and marker as `LvsaError` of `@lvsa/runtime`, so `isLvsaError`
 * recognises it; it is declared here because the runtime loads this package, not the other way round.
 */

const MARKER = Symbol.for("lvsa.error");

export type SoftwareAdapterErrorCode =
  | "SOFTWARE_ADAPTER_UNSUPPORTED_PLATFORM"
  | "SOFTWARE_ADAPTER_ARCHIVE_MISSING"
  | "SOFTWARE_ADAPTER_ARCHIVE_DAMAGED"
  | "SOFTWARE_ADAPTER_NOT_UNPACKED"
  | "SOFTWARE_ADAPTER_NOT_LOADED";

/** `message` says what was seen, `fix` what to do about it. */
export class SoftwareAdapterError extends Error {
  readonly code: SoftwareAdapterErrorCode;
  readonly fix: string;
  readonly where: string | undefined;
  /** A machine without a driver is not the caller's mistake. */
  readonly fault = "run";
  readonly isUsage = false;
  /** @internal */
  readonly [MARKER] = true;

  constructor(
    code: SoftwareAdapterErrorCode,
    message: string,
    options: { readonly fix: string; readonly where?: string; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.fix = options.fix;
    this.where = options.where;
  }

  /** Message and fix as the command line shows them. */
  describe(): string {
    return `${this.where ? `${this.where}: ` : ""}${this.message}\nFix: ${this.fix}`;
  }
}
