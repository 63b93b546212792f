/**
 * Runs a layer's attention sparsely: geometry guard, pattern of the step, adapter (Q, K, V, positions), one
 * frame-sparse kernel, adapter (output). One processor serves all layers of a model; what it keeps between calls
 * is the pattern of the clip at hand and its index buffers.
 */
import { add, checkOptionKinds, HookError, type OptionKinds } from "@lvsa/runtime";
import { frameSparseAttention } from "../attention/frame-sparse-attention.js";
import { FrameSparseLayout } from "../attention/frame-sparse-layout.js";
import { attention } from "../attention/kernel/attention.js";
import { type ClipGeometry, installedLogLine, type LvsaConfigInput, resolveLvsaConfig } from "../config.js";
import type { AttentionCall, AttentionResult, ShardKeys } from "../contract/attention-processor.js";
import type { AttentionPattern } from "../pattern/attention-pattern.js";
import { PatternController } from "../pattern/pattern-controller.js";
import { type ScheduledSteps, scheduledAttention, unreachedSteps } from "../schedule.js";
import {
  FALLBACK_KINDS,
  type FallbackEvent,
  type FallbackReason,
  FallbackReporter,
  type FallbackReporterOptions,
} from "./fallback.js";
import type { LayerSteps, LvsaCall, Qkv } from "./layer-steps.js";

export interface LvsaProcessorOptions extends FallbackReporterOptions {
  readonly config?: LvsaConfigInput;
  /** Latent frames the model was trained on. */
  readonly referenceLatentFrames: number;
  /** Video frames per latent frame. */
  readonly temporalFactor: number;
  /** Only clips with these numbers run sparse; any other falls back. Default: every clip, by the geometry of its calls. */
  readonly clip?: {
    readonly latentFrames?: number;
    /** Several: any of them. */
    readonly patchesPerFrame?: number | readonly number[];
  };
  /** Asked once per clip: whether it runs sparse at all. A clip that does not is dense without a fallback. Default: all do. */
  readonly engages?: (clip: ClipGeometry) => boolean;
  /** Hears of the pattern in use whenever it changes. */
  readonly onPattern?: (pattern: AttentionPattern, step: number) => void;
  /** Hears of every call that was recorded with a pattern. */
  readonly onCall?: (event: SparseCallEvent) => void;
  /** Hears of settings without effect in the clip at hand, once per clip. Default: a warning in `log`. */
  readonly onNotice?: (text: string) => void;
  /** Hears of every call that ran dense because the schedule says so. */
  readonly onScheduledDense?: (event: ScheduledDenseEvent) => void;
  /** Name in fallback lines; default the family. */
  readonly origin?: string;
  /** Who takes the layers, in the error of a second taker. Default `lvsa`. */
  readonly owner?: string;
}

export const INSTALL_KINDS: OptionKinds<
  Omit<LvsaProcessorOptions, "referenceLatentFrames" | "temporalFactor">
> = {
  ...FALLBACK_KINDS,
  ...{ config: "object", clip: "object", engages: "function", origin: "string", owner: "string" },
  ...{ onPattern: "function", onCall: "function", onNotice: "function", onScheduledDense: "function" },
};
const PROCESSOR_KINDS: OptionKinds<LvsaProcessorOptions> = {
  ...INSTALL_KINDS,
  ...{ referenceLatentFrames: "number", temporalFactor: "number" },
};
const CLIP_KINDS: OptionKinds<NonNullable<LvsaProcessorOptions["clip"]>> = {
  ...{ latentFrames: "number", patchesPerFrame: "number|array" },
};

/** A call that ran through the frame-sparse kernel. */
export interface SparseCallEvent {
  readonly pattern: AttentionPattern;
  /** Latent frames the model was trained on. */
  readonly referenceLatentFrames: number;
  readonly sequenceLength: number;
  /** Denoising step the pattern belongs to. */
  readonly step: number;
  readonly generation: number | undefined;
}

/** A call of a step that the schedule keeps dense. */
export type ScheduledDenseEvent = Pick<SparseCallEvent, "sequenceLength" | "step" | "generation">;

/** The pattern of one clip, and its buffers. */
interface ClipState {
  readonly engages: boolean;
  readonly referenceLatentFrames: number;
  readonly latentFrames: number;
  readonly patchesPerFrame: number;
  readonly generation: number | undefined;
  readonly controller: PatternController;
  readonly rotates: boolean;
  readonly globalConditionFrames: boolean;
  readonly schedule: readonly ScheduledSteps[];
}

/** A `LayerProcessor` where calls are `AttentionCall`s; hosts with calls of their own give their own steps. */
export class LvsaAttentionProcessor<Call extends LvsaCall = AttentionCall, Result = AttentionResult> {
  readonly adapter: LayerSteps<Call, Result>;
  readonly #options: LvsaProcessorOptions;
  readonly #fallback: FallbackReporter;
  #clip: ClipState | undefined;
  #layout: FrameSparseLayout | undefined;
  #window: number | undefined;
  #sparsityScale: number | undefined;
  #manualStep: number | undefined;
  #announced: AttentionPattern | undefined;

  /** @throws UsageError `BAD_OPTION` for options that are unknown or of another kind */
  constructor(adapter: LayerSteps<Call, Result>, options: LvsaProcessorOptions) {
    checkOptionKinds(PROCESSOR_KINDS, options, "an LVSA processor");
    if (options.clip) checkOptionKinds(CLIP_KINDS, options.clip, "clip");
    this.adapter = adapter;
    this.#options = options;
    this.#fallback = new FallbackReporter(options);
  }

  get owner(): string {
    return this.#options.owner ?? "lvsa";
  }

  /** The pattern of the clip at hand; undefined before its first call. */
  get pattern(): AttentionPattern | undefined {
    return this.#clip?.controller.pattern;
  }

  /** For hosts whose calls carry no step index: step i rotates the keyframes by i, whatever the settings say. */
  setStep(step: number): void {
    this.#manualStep = step;
  }

  /** Half window in latent frames; 0 leaves only global frames. Recomputes the keyframe interval. */
  setWindowSize(window: number): void {
    this.#window = window;
    this.#clip?.controller.setWindowSize(window);
  }

  /** Below 1 sparser, above 1 denser. Recomputes the keyframe interval. */
  setSparsityScale(scale: number): void {
    this.#sparsityScale = scale;
    this.#clip?.controller.setSparsityScale(scale);
  }

  /** One attention call. `next` is the layer's dense path. */
  process(call: Call, next: (call: Call) => Result): Result {
    const clip = this.#clipOf(call);
    if (!clip?.engages || this.#isScheduledDense(clip, call)) return next(call);
    this.#advance(clip, call);
    const pattern = clip.controller.pattern;
    const { adapter } = this;
    const { device } = call;

    const { query, key, value } = adapter.extractRotatedQkv?.(call) ?? this.#rotated(call);
    const encoder = adapter.extractEncoderQkv?.(call);
    const scale = adapter.softmaxScale?.(call) ?? {};
    const seenByAll = encoder ?? call.context;
    const context = seenByAll ? { contextKey: seenByAll.key, contextValue: seenByAll.value } : {};
    this.#layout ??= new FrameSparseLayout(device);
    const { shard } = call;
    // Text queries see everything, so that a layer with them takes the keys of all frames.
    const keys = shard?.keys(device, { key, value }, encoder?.query ? undefined : pattern) ?? { key, value };
    let hidden = frameSparseAttention(device, {
      query,
      key: keys.key,
      value: keys.value,
      ...context,
      ...scale,
      pattern,
      ...(shard ? { part: { queries: shard.frames, keys: (keys as ShardKeys).frames } } : {}),
      layout: this.#layout,
    }).output;
    const crossed = adapter.crossAttention?.(call, query);
    if (crossed) hidden = add(device, hidden, crossed);
    const encoded = encoder?.query
      ? attention(device, {
          ...{ query: encoder.query, key: keys.key, value: keys.value },
          ...context,
          ...scale,
        }).output
      : undefined;
    const result = adapter.formatOutput(call, hidden, encoded);
    this.#options.onCall?.({
      pattern,
      referenceLatentFrames: clip.referenceLatentFrames,
      sequenceLength: call.hiddenStates.dim(1),
      step: this.#manualStep ?? call.step?.index ?? 0,
      generation: clip.generation,
    });
    return result;
  }

  #rotated(call: Call): Qkv {
    const qkv = this.adapter.extractQkv(call);
    this.adapter.applyRotary(call, qkv);
    return qkv;
  }

  /** Says `[LVSA] installed on N blocks …` for the clip that is about to run, with the settings behind it. */
  announce(blocks: number, clip: { latentFrames: number; patchesPerFrame: number }): void {
    const geometry: ClipGeometry = { ...clip, ...this.#training() };
    const resolved = resolveLvsaConfig(this.#options.config ?? {}, geometry);
    for (const line of [...resolved.logLines, ...resolved.notes]) this.#options.log?.(line);
    this.#options.log?.(installedLogLine(blocks, geometry, "WebGPU"));
  }

  /** Frees the index buffers. */
  dispose(): void {
    this.#layout?.dispose();
    this.#layout = undefined;
    this.#clip = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The clip this call belongs to, or undefined (after reporting why) when it must run dense. */
  #clipOf(call: Call): ClipState | undefined {
    const tokens = call.hiddenStates.dim(1);
    const fail = (reason: FallbackReason, details: FallbackEvent["details"]) => {
      const origin = this.#options.origin ?? this.adapter.family;
      this.#fallback.report({
        origin,
        reason,
        sequenceLength: tokens,
        details,
        ...(call.step ? { step: call.step.index } : {}),
        ...(call.step?.generation === undefined ? {} : { generation: call.step.generation }),
      });
      return undefined;
    };
    if (call.module?.causal) return fail("unsupported_call", { causal: true });
    if (call.keyMask?.includes(0)) return fail("unsupported_call", { mask: true });
    if (call.context && call.encoderHiddenStates) return fail("unsupported_call", { context: true });
    const geometry = call.shard?.geometry ?? call.geometry;
    if (!geometry) return fail("no_geometry", {});
    const { latentFrames, patchesPerFrame } = geometry;
    const expected = { latentFrames, patchesPerFrame, ...this.#options.clip };
    if (
      tokens !== (call.shard?.tokens ?? latentFrames * patchesPerFrame) ||
      expected.latentFrames !== latentFrames ||
      ![expected.patchesPerFrame].flat().includes(patchesPerFrame)
    ) {
      return fail("geometry_mismatch", { T_lat: expected.latentFrames, P: expected.patchesPerFrame });
    }
    const generation = call.step?.generation;
    const current = this.#clip;
    if (
      current?.latentFrames === latentFrames &&
      current.patchesPerFrame === patchesPerFrame &&
      current.generation === generation
    ) {
      return current;
    }
    this.#clip = this.#newClip(latentFrames, patchesPerFrame, generation);
    const unreached = unreachedSteps(this.#clip.schedule, call.step?.count);
    if (unreached) (this.#options.onNotice ?? this.#logNotice)(unreached);
    return this.#clip;
  }

  #newClip(latentFrames: number, patchesPerFrame: number, generation: number | undefined): ClipState {
    const geometry = { latentFrames, patchesPerFrame, ...this.#training() };
    const resolved = resolveLvsaConfig(this.#options.config ?? {}, geometry);
    const { referenceLatentFrames } = resolved;
    const engages = this.#options.engages?.({ ...geometry, referenceLatentFrames }) ?? true;
    const controller = new PatternController(resolved);
    if (this.#window !== undefined) controller.setWindowSize(this.#window);
    if (this.#sparsityScale !== undefined) controller.setSparsityScale(this.#sparsityScale);
    this.#fallback.reset();
    return {
      engages,
      referenceLatentFrames,
      latentFrames,
      patchesPerFrame,
      generation,
      controller,
      rotates: resolved.rotateKeyframes,
      globalConditionFrames: resolved.globalConditionFrames,
      schedule: resolved.schedule,
    };
  }

  /** @throws HookError `NO_STEP` where there is a schedule and nobody says the step */
  #isScheduledDense({ schedule, generation }: ClipState, call: Call): boolean {
    if (schedule.length === 0) return false;
    const step = this.#manualStep ?? call.step?.index;
    if (step === undefined) {
      throw new HookError("NO_STEP", "an attention schedule was given, and calls do not say their step", {
        fix: "Give `step` with each call, call setStep, or leave the schedule out.",
      });
    }
    if (scheduledAttention(schedule, step) === "lvsa") return false;
    this.#options.onScheduledDense?.({ sequenceLength: call.hiddenStates.dim(1), step, generation });
    return true;
  }

  readonly #logNotice = (text: string) => this.#options.log?.(`[LVSA] Warning: ${text}`);

  #training(): { referenceLatentFrames: number; temporalFactor: number } {
    const { referenceLatentFrames, temporalFactor } = this.#options;
    return { referenceLatentFrames, temporalFactor };
  }

  #advance(clip: ClipState, { step: given, ...call }: Call): void {
    const geometry = call.shard?.geometry ?? call.geometry;
    const step = given?.index ?? 0;
    if (this.#manualStep !== undefined) clip.controller.setStep(this.#manualStep);
    else if (clip.rotates) clip.controller.setStep(step);
    if (clip.globalConditionFrames) clip.controller.setConditionFrames(geometry?.conditionFrames ?? []);
    const { pattern } = clip.controller;
    if (pattern === this.#announced) return;
    this.#announced = pattern;
    this.#options.onPattern?.(pattern, step);
  }
}
