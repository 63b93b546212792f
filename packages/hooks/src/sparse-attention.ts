/**
 * LVSA on finished queries, keys and values: for attention backends and for hosts that this repository does not
 * know. Geometry and step come with the call where the host tells; else from the settings and a step counter.
 */
import {
  concat,
  type Device,
  type EncoderQkv,
  type FallbackEvent,
  HookError,
  type LayerSteps,
  LvsaAttentionProcessor,
  type LvsaCall,
  type Qkv,
  type Tensor,
} from "@lvsa/core";
import type { HookSettings } from "./env-schema.js";
import { GenerationMonitor } from "./generation-monitor.js";
import { resolveGeometry } from "./geometry.js";
import type { HookLog } from "./hook-events.js";
import {
  engagesAuto,
  lvsaConfigOf,
  type ModelFacts,
  requireSomeKeys,
  withSettings,
} from "./lvsa-settings.js";
import { StepTracker } from "./step-tracker.js";

/** One attention call, after projection, norm and rotary embedding. Batch 1. */
export interface SparseAttentionCall {
  /** Tells layers apart for the step counter: any value, the same in every pass. */
  readonly layer: unknown;
  /** `[1, S, H, D]`: video tokens frame by frame, then text tokens where the host joins them. */
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  /** Text tokens at the end of the sequence. Default 0. */
  readonly textTokens?: number;
  /** `[1, Lc, Hkv, D]`: text that is not in the sequence; every query sees it. */
  readonly contextKey?: Tensor;
  readonly contextValue?: Tensor;
  /** Default 1/sqrt(D). */
  readonly scale?: number;
  readonly causal?: boolean;
  /** `[S]`, 1 = attended. */
  readonly keyMask?: Uint8Array;
  /** `conditionFrames`: latent frames whose content is given; they are global. */
  readonly geometry?: {
    readonly latentFrames: number;
    readonly patchesPerFrame: number;
    readonly conditionFrames?: readonly number[];
  };
  /** `generation` changes with every clip. */
  readonly step?: { readonly index: number; readonly count?: number; readonly generation?: number };
}

export interface SparseAttentionOptions {
  readonly family: string;
  /** In fallback lines. */
  readonly origin: string;
  readonly settings: HookSettings;
  readonly model: ModelFacts;
  readonly log: HookLog;
  /** As which of the two it counts and talks: a hook counts every call, a backend only those it takes. */
  readonly counter: "hook" | "backend";
  /** How fallback lines put what was seen; default: as it comes. */
  readonly details?: (event: FallbackEvent) => FallbackEvent["details"];
}

/** The call as the processor wants it. */
interface QkvCall extends LvsaCall {
  readonly qkv: Qkv;
  readonly encoder: EncoderQkv | undefined;
  readonly scale: number | undefined;
}

export class SparseAttention {
  readonly #options: SparseAttentionOptions;
  readonly #processor: LvsaAttentionProcessor<QkvCall, Tensor | undefined>;
  readonly #monitor: GenerationMonitor;
  readonly #tracker: StepTracker;
  #device: Device | undefined;
  #saidGeometry: number | undefined;
  #saidCounter = false;

  /** @throws ConfigError for settings that do not go together */
  constructor(options: SparseAttentionOptions) {
    const { settings, log, family, counter } = options;
    requireSomeKeys(settings, options.model);
    this.#options = options;
    const model = withSettings(options.model, settings);
    this.#tracker = new StepTracker({
      ...(settings.cfgPasses === undefined ? {} : { cfgPasses: settings.cfgPasses }),
      ...(settings.nBlocks === undefined ? {} : { nBlocks: settings.nBlocks }),
      onCalibrated: (blocks, cfgPasses) => log.emit({ type: "calibrated", counter, blocks, cfgPasses }),
    });
    const monitor = new GenerationMonitor({
      family,
      origin: options.origin,
      settings,
      log,
      // The device is known with the first call.
      memory: () => this.#device!.memory(),
      ...(options.details ? { details: options.details } : {}),
    });
    this.#monitor = monitor;
    const engages = engagesAuto(settings);
    this.#processor = new LvsaAttentionProcessor(new QkvSteps(family), {
      config: { ...model.defaults, ...lvsaConfigOf(settings) },
      referenceLatentFrames: model.referenceLatentFrames,
      temporalFactor: model.temporalFactor,
      onFallback: (event) => monitor.onFallback(event),
      onCall: (event) => monitor.onCall(event),
      onNotice: (message) => log.emit({ type: "warning", message }),
      onScheduledDense: (event) => monitor.onScheduledDense(event),
      engages: (clip) => {
        const yes = engages(clip);
        if (!yes) log.emit({ type: "within-reference", family, ...clip });
        return yes;
      },
    });
  }

  /** The pattern of the clip at hand. */
  get pattern() {
    return this.#processor.pattern;
  }

  /** The next call begins a new generation; only for hosts whose calls carry none. */
  restart(): void {
    this.#tracker.restart();
  }

  /**
   * Records the call's attention, `[1, S, H, D]`, or returns undefined: the host runs its own dense path.
   * @throws HookError `DENSE_FALLBACK` instead of undefined when strict
   */
  attend(device: Device, call: SparseAttentionCall): Tensor | undefined {
    this.#device = device;
    const tokens = call.query.dim(1);
    // Cross attention, and text queries of joint attention: never sparse, nothing to report.
    if (call.key.dim(1) !== tokens) return undefined;
    const { settings, counter, origin } = this.#options;
    const counted = counter === "hook" ? this.#stepOf(call, tokens) : undefined;
    const geometry = resolveGeometry(
      {
        tokens,
        ...(call.textTokens === undefined ? {} : { textTokens: call.textTokens }),
        ...(call.geometry ? { geometry: call.geometry } : {}),
      },
      settings,
    );
    const fail = (reason: string, details: FallbackEvent["details"]) => {
      const { generation, step } = this.#tracker;
      const at = counted ?? (call.step ? this.#stepOf(call, tokens) : { index: step, generation });
      const { index, ...rest } = at;
      this.#monitor.onFallback({ origin, reason, sequenceLength: tokens, details, step: index, ...rest });
      return undefined;
    };
    if (!geometry.ok) {
      // Hooks know one word for all of it.
      const isHook = counter === "hook" && geometry.reason === "geometry_detect";
      return fail(isHook ? "geometry_mismatch" : geometry.reason, geometry.details);
    }
    if (call.query.dim(0) !== 1) return fail("unsupported_call", { batch: call.query.dim(0) });
    const step = counted ?? this.#stepOf(call, tokens);
    const split = splitText(call, tokens - geometry.textTokens);
    const { latentFrames, patchesPerFrame } = geometry;
    const result = this.#processor.process(
      {
        device,
        hiddenStates: split.qkv.query,
        ...split,
        scale: call.scale,
        geometry: {
          ...{ latentFrames, patchesPerFrame },
          ...(call.geometry?.conditionFrames ? { conditionFrames: call.geometry.conditionFrames } : {}),
        },
        step,
        ...(call.keyMask ? { keyMask: call.keyMask } : {}),
        module: { causal: call.causal ?? false },
      },
      () => undefined,
    );
    if (result) this.#sayGeometry(geometry);
    return result;
  }

  /** Frees the index buffers. */
  dispose(): void {
    this.#processor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #stepOf(call: SparseAttentionCall, tokens: number): { index: number; generation?: number } {
    if (call.step) {
      const { index, generation } = call.step;
      return { index, ...(generation === undefined ? {} : { generation }) };
    }
    this.#sayCounter();
    const index = this.#tracker.tick(call.layer, tokens);
    return { index, generation: this.#tracker.generation };
  }

  /** Once, when the first call has to be counted. */
  #sayCounter(): void {
    const { counter, settings, log } = this.#options;
    if (this.#saidCounter || counter !== "backend") return;
    this.#saidCounter = true;
    const { nBlocks = 0, cfgPasses = 2 } = settings;
    if (nBlocks !== 0) log.emit({ type: "counter-setting", name: "n_blocks", value: nBlocks });
    if (cfgPasses !== 2) log.emit({ type: "counter-setting", name: "cfg_passes", value: cfgPasses });
  }

  /** Once per layout. */
  #sayGeometry(geometry: { latentFrames: number; patchesPerFrame: number; textTokens: number }): void {
    const { latentFrames, patchesPerFrame, textTokens } = geometry;
    const key = latentFrames * patchesPerFrame + textTokens;
    if (this.#options.counter !== "backend" || this.#saidGeometry === key) return;
    this.#saidGeometry = key;
    this.#options.log.emit({ type: "geometry", latentFrames, patchesPerFrame, textTokens });
  }
}

/** Video and text part of the sequence as views. @throws HookError when text comes both ways */
function splitText(call: SparseAttentionCall, video: number): { qkv: Qkv; encoder: EncoderQkv | undefined } {
  const { query, key, value, contextKey, contextValue } = call;
  const context = contextKey && contextValue ? { key: contextKey, value: contextValue } : undefined;
  const tokens = query.dim(1);
  if (video === tokens) return { qkv: { query, key, value }, encoder: context };
  if (context) {
    throw new HookError("TEXT_TWICE", "text tokens came both in the sequence and beside it", {
      fix: "Give textTokens, or contextKey and contextValue.",
    });
  }
  const part = (tensor: Tensor, start: number, end: number) => {
    const [, , heads, dim] = tensor.shape as [number, number, number, number];
    return tensor
      .reshape([tokens, heads, dim])
      .rows(start, end)
      .reshape([1, end - start, heads, dim]);
  };
  const streams = (start: number, end: number): Qkv => ({
    query: part(query, start, end),
    key: part(key, start, end),
    value: part(value, start, end),
  });
  return { qkv: streams(0, video), encoder: streams(video, tokens) };
}

/** For calls that bring finished Q, K and V: rotated already, and the output is what attention gives. */
class QkvSteps implements LayerSteps<QkvCall, Tensor> {
  constructor(readonly family: string) {}

  extractQkv(call: QkvCall): Qkv {
    return call.qkv;
  }

  extractEncoderQkv(call: QkvCall): EncoderQkv | undefined {
    return call.encoder;
  }

  softmaxScale({ scale }: QkvCall): { readonly scale?: number } {
    return scale === undefined ? {} : { scale };
  }

  applyRotary(): void {}

  formatOutput({ device }: QkvCall, hidden: Tensor, encoder: Tensor | undefined): Tensor {
    return encoder ? concat(device, [hidden, encoder], 1) : hidden;
  }
}
