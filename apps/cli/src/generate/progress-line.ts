/** What a line of progress says, in as many columns as there are. */

export interface Progress {
  /** Whole steps done, and all; undefined where there are none (decoding alone). */
  readonly steps?: { readonly done: number; readonly total: number } | undefined;
  /** Part of the step that is at work, 0 to 1. */
  readonly part?: number | undefined;
  /** What else is at work, e.g. `loading transformer`, and its short name. */
  readonly activity?: { readonly name: string; readonly short: string; readonly share: number } | undefined;
  /** Seconds since the beginning. */
  readonly elapsed: number;
  /** Seconds per step, once they are known. */
  readonly each?: number | undefined;
  /** Seconds to come. */
  readonly rest?: number | undefined;
  readonly memory?: string | undefined;
}

/** Columns where nobody says how many there are. */
const USUAL = 80;

/** The line, without its least important parts where it would not fit. The last column stays free. */
export function progressLine(progress: Progress, columns = USUAL): string {
  const { steps, part, activity, elapsed, each, rest, memory } = progress;
  const done = steps && (steps.done + (part ?? 0)) / Math.max(1, steps.total);
  const parts: Record<Part, string | undefined> = {
    bar: done === undefined ? undefined : bar(done, 20),
    step: steps && `step ${steps.done}/${steps.total}${part ? ` +${percent(part)}` : ""}`,
    activity: activity && `${activity.name} ${percent(activity.share)}`,
    elapsed: formatDuration(elapsed),
    each: each === undefined ? undefined : `${each.toFixed(2)} s/step`,
    rest: rest === undefined ? undefined : `ETA ${formatDuration(rest)}`,
    memory,
  };
  const line = () =>
    ORDER.map((name) => parts[name])
      .filter((text) => text !== undefined)
      .join("  ");
  const shorten: (() => void)[] = [
    () => {
      parts.memory = undefined;
    },
    () => {
      parts.bar &&= bar(done!, 8);
    },
    () => {
      parts.each = undefined;
    },
    () => {
      parts.bar = undefined;
    },
    () => {
      parts.activity &&= `${activity!.short} ${percent(activity!.share)}`;
    },
    () => {
      parts.rest = undefined;
    },
    () => {
      parts.activity = undefined;
    },
  ];
  for (const step of shorten) {
    if (line().length < columns) break;
    step();
  }
  return line().slice(0, Math.max(1, columns - 1));
}

type Part = "bar" | "step" | "activity" | "elapsed" | "each" | "rest" | "memory";
const ORDER: readonly Part[] = ["bar", "step", "activity", "elapsed", "each", "rest", "memory"];

function bar(part: number, width: number): string {
  const filled = Math.min(width, Math.round(width * part));
  return `[${"#".repeat(filled)}${".".repeat(width - filled)}]`;
}

function percent(share: number): string {
  return `${Math.floor(100 * share)} %`;
}

/** `4:05`, `1:02:09`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Seconds per step to come: without the first step, which compiles shaders and loads weights. */
export function secondsPerStep(seconds: readonly number[]): number {
  const settled = seconds.length > 1 ? seconds.slice(1) : seconds;
  return settled.reduce((sum, s) => sum + s, 0) / Math.max(1, settled.length);
}
