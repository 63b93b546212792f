/** When LVSA steps aside: why, how that is said once, and how it becomes an error. */
import { HookError, type OptionKinds } from "@lvsa/runtime";

/** Why a call ran dense although LVSA was installed. */
export type FallbackReason =
  /** The host did not say how the tokens are laid out. */
  | "no_geometry"
  /** Token count and latent frames · tokens per frame differ, or differ from the clip the processor was made for. */
  | "geometry_mismatch"
  /** The call carries something that the sparse path would not honour. */
  | "unsupported_call";

export interface FallbackEvent {
  /** Who fell back, e.g. `wan_hook` or `wan`. */
  readonly origin: string;
  readonly reason: FallbackReason | (string & {});
  /** Tokens of the call. */
  readonly sequenceLength: number;
  /** What was seen, for the log line: `T_lat=21`, … */
  readonly details: Readonly<Record<string, FallbackDetail>>;
  /** Denoising step and generation of the call, where the host says them. */
  readonly step?: number;
  readonly generation?: number;
}

export type FallbackDetail = string | number | boolean | null | readonly number[];

/** Written as in the original's lines: `True`, `None`, `[1560, 2080]`. */
function detailText(value: FallbackDetail): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "object" ? `[${value.join(", ")}]` : String(value);
}

/** Log line with the Python original's wording. */
export function fallbackLine(event: FallbackEvent): string {
  const extra = Object.entries(event.details)
    .map(([name, value]) => `${name}=${detailText(value)}`)
    .join(", ");
  return (
    `[LVSA-FALLBACK] origin=${event.origin} reason=${event.reason} seq_len=${event.sequenceLength}` +
    `${extra ? ` ${extra}` : ""} -- falling back to DENSE attention (set LVSA_WARN_FALLBACK=0 to silence)`
  );
}

export interface FallbackReporterOptions {
  readonly log?: (line: string) => void;
  readonly onFallback?: (event: FallbackEvent) => void;
  /** A fallback is an error instead. */
  readonly strict?: boolean;
}

export const FALLBACK_KINDS: OptionKinds<FallbackReporterOptions> = {
  ...{ log: "function", onFallback: "function", strict: "boolean" },
};

/** Reports each distinct (origin, reason, length) once per generation in the log, and every fallback as an event. */
export class FallbackReporter {
  readonly #options: FallbackReporterOptions;
  readonly #said = new Set<string>();
  #generation: number | undefined;

  constructor(options: FallbackReporterOptions) {
    this.#options = options;
  }

  /** @throws HookError `DENSE_FALLBACK` when strict */
  report(event: FallbackEvent): void {
    if (event.generation !== this.#generation) this.reset();
    this.#generation = event.generation;
    this.#options.onFallback?.(event);
    if (this.#options.strict) {
      const details = Object.entries(event.details).map(([k, v]) => `${k}=${detailText(v)}`);
      throw new HookError(
        "DENSE_FALLBACK",
        `LVSA (${event.origin}) would fall back to dense attention: ${event.reason}, ${event.sequenceLength} tokens${details.length ? `, ${details.join(", ")}` : ""}`,
        { fix: "Correct the geometry, or turn strict mode off to allow dense attention." },
      );
    }
    const key = `${event.origin}|${event.reason}|${event.sequenceLength}`;
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.#options.log?.(fallbackLine(event));
  }

  /** Says everything again from here on, for a new generation. */
  reset(): void {
    this.#said.clear();
  }
}
