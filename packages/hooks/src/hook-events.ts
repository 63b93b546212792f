/** What happens, as typed events, and the log line of each. Wording as in the Python plugin, so that greps go on working. */
import type { MemoryReport } from "@lvsa/core";
import { type AttentionPattern, type FallbackEvent, fallbackLine, maskText } from "@lvsa/core";

export type HookEvent =
  /** A hook is in charge of a model's layers. */
  | {
      readonly type: "installed";
      readonly family: string;
      /** Name of the layers' class in the Python host. */
      readonly layer: string;
      /** Layers; undefined where the host hands its calls over one by one. */
      readonly blocks: number | undefined;
      readonly totalLatentFrames: number | undefined;
      readonly sparsityScale: number;
    }
  /** The first call of a generation went through the sparse kernel. */
  | {
      readonly type: "engaged";
      readonly family: string;
      readonly pattern: AttentionPattern;
      readonly sequenceLength: number;
      readonly referenceLatentFrames: number;
      readonly generation: number | undefined;
    }
  /** `LVSA_AUTO`: a clip within the training length runs dense, as wanted. */
  | {
      readonly type: "within-reference";
      readonly family: string;
      readonly latentFrames: number;
      readonly referenceLatentFrames: number;
    }
  | ({ readonly type: "fallback" } & FallbackEvent)
  | {
      readonly type: "calibrated";
      readonly counter: "hook" | "backend";
      readonly blocks: number;
      readonly cfgPasses: number;
    }
  /** The step counter was given a number instead of counting. */
  | {
      readonly type: "counter-setting";
      readonly name: "n_blocks" | "cfg_passes";
      readonly value: number;
    }
  | {
      readonly type: "step-time";
      readonly step: number;
      readonly seconds: number;
    }
  | { readonly type: "memory"; readonly step: number; readonly memory: MemoryReport }
  | { readonly type: "mask"; readonly step: number; readonly pattern: AttentionPattern }
  /** The backend found out how a clip is laid out. */
  | {
      readonly type: "geometry";
      readonly latentFrames: number;
      readonly patchesPerFrame: number;
      readonly textTokens: number;
    }
  | { readonly type: "warning"; readonly message: string };

/** The line, without a newline at its end; masks have several. */
export function hookLine(event: HookEvent): string {
  switch (event.type) {
    case "installed": {
      const { layer, totalLatentFrames, sparsityScale } = event;
      const scale = event.family === "wan" ? `, sparsity_scale=${pythonFloat(sparsityScale)}` : "";
      return `[LVSA-hook] Installed LVSA hook on ${layer} (T_lat=${totalLatentFrames ?? "auto"}${scale})`;
    }
    case "engaged": {
      const { pattern, family, sequenceLength, referenceLatentFrames } = event;
      const dense =
        pattern.frames <= referenceLatentFrames
          ? "DENSE (T_lat <= ref)"
          : "DENSE (the pattern covers the clip)";
      return (
        `[LVSA] engaged (${family}): T_lat=${pattern.frames} P=${pattern.patchesPerFrame} seq_len=${sequenceLength} ` +
        `kfi=${pattern.keyframeInterval ?? 0} W=${pattern.window} |G|=${pattern.globalFrames.length} -> ` +
        (pattern.isDense ? dense : "SPARSE")
      );
    }
    case "within-reference":
      return (
        `[LVSA] not engaged (${event.family}): T_lat=${event.latentFrames} <= ref=${event.referenceLatentFrames} ` +
        "-> DENSE (LVSA_AUTO)"
      );
    case "fallback":
      return fallbackLine(event);
    case "calibrated": {
      const who = event.counter === "hook" ? "[LVSA-hook] Step counter" : "[LVSA] Step counter auto-";
      return `${who}${event.counter === "hook" ? " " : ""}calibrated: n_blocks=${event.blocks} cfg_passes=${event.cfgPasses}`;
    }
    case "counter-setting":
      return `[LVSA] Step counter: ${event.name}=${event.value} (from env)`;
    case "step-time":
      return `[LVSA-TIME] step=${event.step} dt=${event.seconds.toFixed(3)}s`;
    case "memory": {
      const { liveBytes, pooledBytes, peakBytes } = event.memory;
      return (
        `[LVSA-MEM] step=${event.step} webgpu=0 alloc=${gigabytes(liveBytes)}GB ` +
        `reserved=${gigabytes(liveBytes + pooledBytes)}GB peak=${gigabytes(peakBytes)}GB`
      );
    }
    case "mask": {
      const { pattern, step } = event;
      return (
        `[LVSA-MASK] step=${step}  T_lat=${pattern.frames}  W=${pattern.window}  ` +
        `|G|=${pattern.globalFrames.length}  kfi=${pattern.keyframeInterval ?? 0}\n` +
        maskText(pattern, { style: "compact" }).trimEnd()
      );
    }
    case "geometry": {
      const video = event.latentFrames * event.patchesPerFrame;
      return (
        `[LVSA] Geometry detected: T_lat=${event.latentFrames} P=${event.patchesPerFrame} video_seq=${video} ` +
        `text=${event.textTokens} total=${video + event.textTokens}`
      );
    }
    case "warning":
      return `[LVSA] Warning: ${event.message}`;
    default:
      return event satisfies never;
  }
}

/** Where lines go. The event is there for loggers that sort by kind. */
export type HookLogger = (line: string, event: HookEvent) => void;

export interface HookLogOptions {
  readonly logger?: HookLogger;
  readonly onEvent?: (event: HookEvent) => void;
  /** Lines of fallbacks; their events come all the same. Default true. */
  readonly warnFallback?: boolean;
}

/** One for all hooks of an engine. */
export class HookLog {
  readonly #options: HookLogOptions;

  constructor(options: HookLogOptions) {
    this.#options = options;
  }

  /** Tells listeners and the logger. */
  emit(event: HookEvent): void {
    this.tell(event);
    this.write(event);
  }

  /** Tells listeners only. */
  tell(event: HookEvent): void {
    this.#options.onEvent?.(event);
  }

  /** Writes the line only. */
  write(event: HookEvent): void {
    if (event.type === "fallback" && this.#options.warnFallback === false) return;
    this.#options.logger?.(hookLine(event), event);
  }
}

/** `1.0`, `0.5`: as Python prints a float. */
function pythonFloat(value: number): string {
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

/** GB = 10^9 bytes. */
function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(2);
}
