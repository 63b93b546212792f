/**
 * Runs the attention of Cosmos 3's generation stream sparsely. Video queries see the frames of their pattern and, always,
 * all keys and values of the understanding stream, which are handed over by the call and not touched.
 */
import {
  type AttentionCall,
  type AttentionPattern,
  type AttentionResult,
  type ClipGeometry,
  checkOptionKinds,
  FallbackReporter,
  type FallbackReporterOptions,
  FrameSparseLayout,
  frameSparseAttention,
  HookError,
  type LvsaConfigInput,
  type OptionKinds,
  PatternController,
  type ResolvedLvsaConfig,
  resolveLvsaConfig,
  rotatedStreams,
  type ScheduledDenseEvent,
  ShapeError,
  type SparseCallEvent,
  scheduledAttention,
  unreachedSteps,
} from "@lvsa/core";

export interface Cosmos3ProcessorOptions extends FallbackReporterOptions {
  /** The clip that runs sparse, and the length the model was trained on. */
  readonly clip: ClipGeometry;
  /** Settings in video frames. */
  readonly config?: LvsaConfigInput;
  /**
   * Default true: a call of another length is an error. With false it runs dense, which is reported once per
   * generation.
   */
  readonly strict?: boolean;
  /** Hears of the pattern in use whenever it changes. */
  readonly onPattern?: (pattern: AttentionPattern, step: number) => void;
  /** Hears of every call that was recorded with a pattern. */
  readonly onCall?: (event: SparseCallEvent) => void;
  /** Hears of settings without effect, once per generation. Default: a warning in `log`. */
  readonly onNotice?: (text: string) => void;
  /** Hears of every call that ran dense because the schedule says so. */
  readonly onScheduledDense?: (event: ScheduledDenseEvent) => void;
  /** Name in fallback lines; default `cosmos3`. */
  readonly origin?: string;
}

const SHARED_KINDS = {
  ...{ config: "object", strict: "boolean", log: "function", onFallback: "function", origin: "string" },
  ...{ onPattern: "function", onCall: "function", onNotice: "function", onScheduledDense: "function" },
};
const PROCESSOR_KINDS: OptionKinds<Cosmos3ProcessorOptions> = { ...SHARED_KINDS, clip: "object" };
/** What `installCosmos3Lvsa` hands on. */
export const INSTALL_KINDS: OptionKinds<Omit<Cosmos3ProcessorOptions, "clip">> = SHARED_KINDS;

export class Cosmos3LvsaProcessor implements Disposable {
  /** Settings of the clip in latent frames. */
  readonly resolved: ResolvedLvsaConfig;
  readonly #options: Cosmos3ProcessorOptions;
  readonly #controller: PatternController;
  readonly #fallback: FallbackReporter;
  #layout: FrameSparseLayout | undefined;
  #manualStep: number | undefined;
  #generation: number | undefined;
  #announced: AttentionPattern | undefined;

  /** @throws UsageError `BAD_OPTION`; ConfigError for bad settings */
  constructor(options: Cosmos3ProcessorOptions) {
    checkOptionKinds(PROCESSOR_KINDS, options, "Cosmos3LvsaProcessor", "misspelt");
    this.#options = options;
    this.resolved = resolveLvsaConfig(options.config ?? {}, options.clip);
    this.#controller = new PatternController(this.resolved);
    this.#fallback = new FallbackReporter({ ...options, strict: false });
  }

  /** What the next call will use, or the last one used. */
  get pattern(): AttentionPattern {
    return this.#controller.pattern;
  }

  /** For hosts whose calls carry no step index: step i rotates the keyframes by i, whatever the settings say. */
  setStep(step: number): void {
    this.#manualStep = step;
    this.#controller.setStep(step);
  }

  /** Half window in latent frames; 0 leaves only global frames. Recomputes the keyframe interval. */
  setWindowSize(window: number): void {
    this.#controller.setWindowSize(window);
  }

  /** Below 1 sparser, above 1 denser. Recomputes the keyframe interval. */
  setSparsityScale(scale: number): void {
    this.#controller.setSparsityScale(scale);
  }

  /**
   * One call of the generation stream. `next` is the layer's dense path.
   * @throws ShapeError for a batch of more than one, HookError for another length (unless `strict` is false)
   */
  process(call: AttentionCall, next: (call: AttentionCall) => AttentionResult): AttentionResult {
    const [batch, tokens] = call.hiddenStates.shape as readonly [number, number, number];
    if (batch !== 1) {
      throw new ShapeError(
        "BATCH_UNSUPPORTED",
        `LVSA on Cosmos 3 takes one video at a time, got a batch of ${batch}`,
        {
          where: call.module.name,
          fix: "Run the videos (or guidance passes) one after the other.",
        },
      );
    }
    if (!this.#fits(call, tokens)) return this.#mismatch(call, tokens, next);

    const step = this.#manualStep ?? call.step?.index ?? 0;
    this.#noticeSchedule(call);
    if (scheduledAttention(this.resolved.schedule, step) === "dense") {
      const generation = call.step?.generation;
      this.#options.onScheduledDense?.({ sequenceLength: tokens, step, generation });
      return next(call);
    }
    this.#advance(step, (call.shard?.geometry ?? call.geometry)?.conditionFrames);
    const { pattern } = this.#controller;
    const { module, device, context, shard } = call;
    const streams = rotatedStreams(call);
    this.#layout ??= new FrameSparseLayout(device);
    const keys = shard?.keys(device, streams, pattern);
    const { output } = frameSparseAttention(device, {
      query: streams.query,
      key: keys?.key ?? streams.key,
      value: keys?.value ?? streams.value,
      ...(shard && keys ? { part: { queries: shard.frames, keys: keys.frames } } : {}),
      ...(context ? { contextKey: context.key, contextValue: context.value } : {}),
      scale: module.scale,
      pattern,
      layout: this.#layout,
    });
    const result = module.output(call, { hidden: output });
    this.#options.onCall?.({
      pattern,
      referenceLatentFrames: this.resolved.referenceLatentFrames,
      sequenceLength: tokens,
      step,
      generation: call.step?.generation,
    });
    return result;
  }

  /** Frees the index buffer. */
  dispose(): void {
    this.#layout?.dispose();
    this.#layout = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The frame grid has to be the clip's own: 12 x 4 tokens are not 4 frames of 12. */
  #fits({ geometry: given, shard }: AttentionCall, tokens: number): boolean {
    const { latentFrames, patchesPerFrame } = this.#options.clip;
    const geometry = shard?.geometry ?? given;
    const isClip =
      !geometry || (geometry.latentFrames === latentFrames && geometry.patchesPerFrame === patchesPerFrame);
    return isClip && tokens === (shard?.tokens ?? latentFrames * patchesPerFrame);
  }

  #mismatch(
    call: AttentionCall,
    tokens: number,
    next: (call: AttentionCall) => AttentionResult,
  ): AttentionResult {
    const { latentFrames: T, patchesPerFrame: P } = this.#options.clip;
    if (this.#options.strict ?? true) {
      const geometry = call.shard?.geometry ?? call.geometry;
      const seen = geometry ? ` (${geometry.latentFrames} latent frames of ${geometry.patchesPerFrame})` : "";
      throw new HookError(
        "WRONG_LENGTH",
        `Cosmos 3: ${tokens} video tokens${seen}; LVSA was installed for ${T} latent frames of ${P} tokens = ${T * P}`,
        {
          where: call.module.name,
          fix: "Install LVSA with the numFrames, height and width of this clip, or with strict: false to run other clips dense.",
        },
      );
    }
    this.#fallback.report({
      origin: this.#options.origin ?? "cosmos3",
      reason: "geometry_mismatch",
      sequenceLength: tokens,
      details: { T_lat: T, P },
      ...(call.step ? { step: call.step.index, generation: call.step.generation } : {}),
    });
    return next(call);
  }

  #noticeSchedule({ step }: AttentionCall): void {
    if (step?.generation === this.#generation) return;
    this.#generation = step?.generation;
    const text = unreachedSteps(this.resolved.schedule, step?.count);
    const { onNotice, log } = this.#options;
    if (text) onNotice ? onNotice(text) : log?.(`[LVSA] Warning: ${text}`);
  }

  #advance(step: number, conditionFrames: readonly number[] | undefined): void {
    if (this.#manualStep !== undefined || this.resolved.rotateKeyframes) this.#controller.setStep(step);
    if (this.resolved.globalConditionFrames) {
      this.#controller.setConditionFrames(conditionFrames ?? this.resolved.conditionFrames);
    }
    const { pattern } = this.#controller;
    if (pattern === this.#announced) return;
    this.#announced = pattern;
    this.#options.onPattern?.(pattern, step);
  }
}
