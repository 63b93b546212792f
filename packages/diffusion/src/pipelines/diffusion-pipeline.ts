/**
 * The common body of the families' pipelines: options, turns, loading, denoising, decoding, results, and the end.
 * A family says how its options become a plan, what its transformer is conditioned on, and how its latents are decoded.
 */

import type { AttentionDispatcher, CheckpointGeometry } from "@lvsa/core";
import { type Device, type Tensor, throwIfAborted } from "@lvsa/runtime";
import { hostLatentFrames, type LatentFrames } from "../models/autoencoders/latent-frames.js";
import { type VideoGrid, type VideoSize, videoGrid } from "../models/definition/video-grid.js";
import type { ModelGeometry } from "../models/definition/video-model.js";
import type { LatentPreview } from "../preview/latent-preview.js";
import { plainSeed, randomSeed, TorchCpuGenerator } from "../random/index.js";
import { checkRunState, type RunState, restoreParts } from "../run-state/run-state.js";
import type { RunSettings } from "../run-state/stateful.js";
import type { ClipPlan, ClipSize, LatentPlan, Settings } from "./clip-plan.js";
import type { Conditions } from "./conditions.js";
import { denoise, type Predictor, type StepInput } from "./denoise.js";
import { FrameReader } from "./frame-reader.js";
import { type FamilyOptions, parseDecodeOptions } from "./generate-options.js";
import {
  assertLatentsFit,
  assertLatentsShape,
  initialLatents,
  withoutUndefined,
} from "./generation-start.js";
import { assertGivenFinite } from "./not-finite.js";
import { commonNotes } from "./notes.js";
import type { DecoderOf, ModelOf, PipelineParts, Stage, VideoDecoder } from "./pipeline-parts.js";
import { rgbFrames } from "./rgb-frames.js";
import type { CachedModelOf } from "./run-step-cache.js";
import { type Run, Runs } from "./runs.js";
import { withPreset } from "./sampling-presets.js";
import type { Turn } from "./turns.js";
import { usedSettings, usedWindows } from "./used-settings.js";
import type {
  DecodeOptions,
  DecodeResult,
  GenerateOptions,
  GenerationDefaults,
  GenerationResult,
  HostTensor,
  VideoPipeline,
  VideoSizeOptions,
} from "./video-pipeline.js";
import type { PlannedWindows } from "./windows/window-options.js";
import type { WindowedRun } from "./windows/windowed-run.js";

/** A generation whose frames are not asked for at once makes way for the next one after this long. */
const BEFORE_FRAMES_MS = 100;
/** A reader that pauses for this long between two frames makes way too. */
const BETWEEN_FRAMES_MS = 2000;

export abstract class DiffusionPipeline<Parts extends PipelineParts, Plan extends ClipPlan, Condition>
  implements VideoPipeline
{
  abstract readonly family: string;
  protected readonly parts: Parts;
  protected abstract readonly options: FamilyOptions;
  /** Prompts of a run in windows whose conditions stay on the GPU; others are uploaded again when their window comes. */
  protected readonly residentConditions: number = 1;
  readonly #runs = new Runs();
  #generation = 0;

  /** Use `fromPretrained` of a family. */
  constructor(parts: Parts) {
    this.parts = parts;
  }

  get className(): string {
    return this.parts.className;
  }

  get device(): Device {
    return this.parts.device;
  }

  get attention(): AttentionDispatcher {
    return this.parts.attention;
  }

  get transformers(): readonly [ModelOf<Parts>, ...ModelOf<Parts>[]] {
    const [first, ...others] = this.parts.stages;
    return [first.model, ...others.map(({ model }) => model)];
  }

  /** What the model's definition says of this checkpoint, and what the checkpoint says itself. */
  get defaults(): GenerationDefaults {
    const { definition, configs, settings } = this.parts;
    return { ...definition.video.defaults(configs), ...settings.defaults };
  }

  get geometry(): CheckpointGeometry {
    const { vaeSpatial, vaeTemporal, referenceTokenFrames, lvsa } = this.modelGeometry;
    return {
      ...(lvsa ? { lvsa } : {}),
      ...{ spatialFactor: vaeSpatial, temporalFactor: vaeTemporal },
      referenceLatentFrames: referenceTokenFrames,
      transformerConfig: this.parts.configs.transformer,
    };
  }

  videoSize({ numFrames, height, width, image }: VideoSizeOptions): VideoSize {
    const { definition, configs } = this.parts;
    const { defaults } = this;
    const size = (image && definition.video.sizeOfImage?.(configs, image)) ?? defaults;
    return {
      numFrames: numFrames ?? defaults.numFrames,
      height: height ?? size.height,
      width: width ?? size.width,
    };
  }

  clip(numFrames: number, height: number, width: number): ClipSize {
    const grid = this.grid({ numFrames, height, width });
    this.#checkPositions(grid);
    const { tokenFrames, patchesPerFrame } = grid;
    return { latentFrames: tokenFrames, patchesPerFrame };
  }

  /** From pixels to latents and tokens. @throws UsageError when the size does not fit the model */
  protected grid(size: VideoSize): VideoGrid {
    return videoGrid(size, this.modelGeometry);
  }

  /** @throws UsageError where the transformer has no positions for what it would see at once */
  #checkPositions(grid: VideoGrid): void {
    const { definition, configs } = this.parts;
    definition.video.checkPositions?.(configs, grid);
  }

  protected get modelGeometry(): ModelGeometry {
    const { definition, configs, settings } = this.parts;
    return { ...definition.video.geometry(configs), ...settings.geometry };
  }

  /** @throws UsageError for options that do not fit this checkpoint */
  protected abstract plan(settings: Settings, given: GenerateOptions): Plan;
  /** The part of the plan that needs neither prompts nor images. */
  protected latentPlan(settings: Settings): LatentPlan {
    return { settings, shape: this.grid(settings).latentShape };
  }

  /** Encodes prompts and images; what it uploads belongs to `run.owned`. */
  protected abstract conditions(
    plan: Plan,
    run: Run,
    noise: HostTensor | undefined,
  ): Promise<Conditions<Condition>>;
  /** The latents of the first step, from those that were given or drawn. */
  protected startLatents(latents: HostTensor, _conditions: Conditions<Condition>): HostTensor {
    return latents;
  }
  /** Runs one pass. Returns a new tensor in the layout of the latents, with a `second` condition both predictions as a batch. */
  protected abstract forward(
    model: ModelOf<Parts>,
    input: StepInput,
    condition: Condition,
    plan: Plan,
    second: Condition | undefined,
  ): Promise<Tensor>;
  /** What the autoencoder decodes. */
  protected rawLatents(vae: DecoderOf<Parts>, latents: HostTensor, _plan: LatentPlan): LatentFrames {
    return hostLatentFrames(this.device, latents, (normalized) => vae.denormalize(normalized));
  }

  /** The transformer that works at a step. */
  protected stageAt(_index: number, _plan: Plan): Stage<ModelOf<Parts>> {
    return this.parts.stages[0];
  }

  /** Options of a checkpoint whose class says how it samples. */
  protected withCheckpointPreset(options: GenerateOptions): GenerateOptions {
    return options;
  }

  /** What a step cache depends on besides the settings. */
  protected cachedModel({ settings }: Plan): CachedModelOf {
    return { isImageToVideo: settings.image !== undefined, hasTokenTimesteps: false };
  }

  /** Last change to the latents. */
  protected finalLatents(latents: HostTensor, _conditions: Conditions<Condition>): HostTensor {
    return latents;
  }

  async generate(options: GenerateOptions): Promise<GenerationResult> {
    this.#runs.requireOpen();
    const asked = withoutUndefined(this.options.parse(options));
    const { options: given, note } = withPreset(
      this.withCheckpointPreset(asked),
      this.family,
      this.parts.stages.length,
    );
    const size = this.videoSize(given);
    const windowing = await this.#windowing(given, size);
    const windows = windowing?.plan;
    const numSeen = windowing?.seenFrames(windowing.plan, size.numFrames) ?? size.numFrames;
    const seen = this.grid({ ...size, numFrames: numSeen });
    this.#checkPositions(seen);
    assertLatentsFit(this.device, seen.latentShape);
    const prompt = windows?.prompts?.[0];
    const settings: Settings = {
      ...this.defaults,
      ...given,
      ...size,
      ...(prompt === undefined ? {} : { prompt }),
    };
    for (const name of GIVEN_TENSORS) assertGivenFinite(name, given[name]);
    const plan = this.plan(settings, given);
    const { scheduler } = plan;
    const { resumeFrom, onState } = given;
    const seed = resumeFrom?.seed ?? plainSeed(given.seed ?? randomSeed());
    const startedFromLatents = resumeFrom?.startedFromLatents ?? given.initialLatents !== undefined;
    const drawsNoise = scheduler.timesteps.some((_, i) => scheduler.plan(i).noiseDraws > 0);
    const usesSeed = !startedFromLatents || drawsNoise || plan.conditionNoise !== undefined;
    const { parallel } = this.parts;
    parallel?.check({
      latentFrames: seen.tokenFrames,
      stepCache: Boolean(settings.stepCache),
      guidanceBatch: Boolean(settings.guidanceBatch),
    });
    // Its code is loaded where it is asked for.
    const caching = settings.stepCache ? await import("./run-step-cache.js") : undefined;
    const stepCache = caching?.runStepCache(this, plan, this.cachedModel(plan));
    const tiled = this.#tiled(plan);
    const used = {
      ...usedSettings(plan, usesSeed ? seed : undefined),
      ...usedWindows(windows, given.prompts),
      loras: this.parts.loras.used,
      step_cache: stepCache?.settings ?? null,
      // Latents depend on it where pictures are encoded.
      ...(settings.image ? tiled : {}),
    };
    // Schedulers that add noise go on drawing from the generator of the initial latents.
    const generator = new TorchCpuGenerator(seed);
    const noise = plan.conditionNoise && {
      data: generator.randn(plan.conditionNoise),
      shape: plan.conditionNoise,
    };
    const parts = { scheduler, generator, ...(stepCache ? { step_cache: stepCache } : {}) };
    const { family } = this;
    const identity = { family, timesteps: scheduler.timesteps, settings: used };
    if (resumeFrom) {
      checkRunState(resumeFrom, { ...identity, shape: plan.shape });
      restoreParts(resumeFrom, parts);
    }
    const initial =
      resumeFrom?.latents ??
      initialLatents(given.initialLatents, plan.shape, generator, scheduler.initNoiseSigma);
    const stateAfter = (step: number, latents: HostTensor): RunState => ({
      ...{ ...identity, step, latents, seed, startedFromLatents },
      parts: Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, part.state()])),
    });
    const tellState = async (step: number, latents: HostTensor) => {
      await stepCache?.prepareState();
      await onState?.(stateAfter(step, latents));
    };
    return this.#runs.inTurn(given, async (run, turn) => {
      if (stepCache) run.owned.add(stepCache);
      const windowed =
        windowing && windowing.plan.layout.windows.length > 1
          ? run.owned.add(await this.#windowedRun(windowing, plan, run))
          : undefined;
      const conditions = windowed ? undefined : await this.conditions(plan, run, noise);
      const { device } = this;
      const denoised = await denoise<Condition>({
        ...{ device, scheduler, guidance: plan.guidance, options: run, stepCache },
        ...{ parallel, guidanceBatch: settings.guidanceBatch },
        // A run that goes on has them as they were.
        initial: resumeFrom || !conditions ? initial : this.startLatents(initial, conditions),
        firstStep: resumeFrom?.step ?? 0,
        ...(onState ? { afterStep: tellState } : {}),
        clip: windowed ?? conditions!,
        predictor: (index) => this.#predictor(plan, index, run),
        generation: ++this.#generation,
        drawNoise: () => generator.randn(plan.shape),
      });
      const latents = conditions ? this.finalLatents(denoised, conditions) : denoised;
      turn.rest(BEFORE_FRAMES_MS);
      const notes = [
        ...this.parts.notes,
        ...this.parts.loras.notes,
        ...(note === undefined ? [] : [note]),
        ...plan.notes,
        ...commonNotes(plan, given, usesSeed),
        ...(parallel?.notes(plan.guidance.isOn) ?? []),
        ...(windowed?.notes ?? conditions?.notes ?? []),
        ...(windowing?.windowNotes(windowing.plan) ?? []),
        ...(caching && stepCache ? [caching.stepCacheNote(stepCache)] : []),
        ...(this.parts.tiling?.notes(plan.settings) ?? []),
      ];
      const { numFrames, height, width, fps } = plan.settings;
      return {
        ...{ latents, width, height, fps, seed, notes },
        frames: new FrameReader(() => this.#decode(latents, plan, turn)),
        frameCount: plan.frameCount ?? numFrames,
        settings: { ...used, ...tiled },
        ...(stepCache ? { stepCache: stepCache.report } : {}),
      };
    });
  }

  async decode(options: DecodeOptions): Promise<DecodeResult> {
    this.#runs.requireOpen();
    const { latents, ...given } = parseDecodeOptions(options);
    assertGivenFinite("latents", latents);
    const plan = this.latentPlan({ ...this.defaults, ...given, ...this.videoSize(given) });
    assertLatentsShape("latents", latents, plan.shape);
    const { numFrames, height, width, fps } = plan.settings;
    return this.#runs.inTurn(given, async (_run, turn) => {
      turn.rest(BEFORE_FRAMES_MS);
      return {
        ...{ height, width, fps, frameCount: plan.frameCount ?? numFrames },
        ...{ settings: this.#tiled(plan), notes: this.parts.tiling?.notes(plan.settings) ?? [] },
        frames: new FrameReader(() => this.#decode(latents, plan, turn)),
      };
    });
  }

  #tiled({ settings }: LatentPlan): RunSettings {
    return { vae_tiling: this.parts.tiling?.used(settings) ?? null };
  }

  async latentPreview(): Promise<LatentPreview> {
    const { checkpointPreview } = await import("../preview/checkpoint-preview.js");
    return checkpointPreview(this.modelGeometry, this.parts.settings);
  }

  /** Stops what is at work and frees the model. The device stays the caller's. */
  dispose(): void {
    this.#runs.dispose();
    for (const { model, weights } of this.parts.stages) {
      weights.unload();
      model.dispose();
    }
    this.parts.vae.unload();
    void this.parts.loras.close();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** A tensor of the run. */
  protected upload(run: Run, { data, shape }: HostTensor): Tensor {
    return run.owned.add(this.device.upload(data, shape));
  }

  /**
   * The windows, where they are asked for, and the code that runs them.
   * @throws UsageError `BAD_OPTION`, `BAD_FRAME_COUNT` for windows that do not fit the model
   */
  async #windowing(given: GenerateOptions, size: VideoSize): Promise<Windowing | undefined> {
    const { windowFrames } = given;
    if (windowFrames === undefined) return undefined;
    const geometry = {
      latentFrames: this.grid(size).latentFramesPadded,
      windowLatentFrames: this.grid({ ...size, numFrames: windowFrames }).latentFramesPadded,
      temporalFactor: this.modelGeometry.vaeTemporal,
    };
    const code = await import("./windows/windowing.js");
    return { ...code, plan: code.planWindows({ ...given, windowFrames }, geometry) };
  }

  /** All prompts are read before the transformer comes; each window has what it needs while it is at work. */
  async #windowedRun(
    { WindowedRun, plan: windows }: Windowing,
    plan: Plan,
    run: Run,
  ): Promise<WindowedRun<Condition>> {
    const { settings, guidance } = plan;
    const { windowFrames: numFrames, prompts } = windows;
    const texts = [...new Set(prompts ?? (settings.prompt === undefined ? [] : [settings.prompt]))];
    const others = guidance.isOn && !settings.negativePromptEmbeds ? [settings.negativePrompt] : [];
    if (!settings.promptEmbeds) {
      await this.parts.prompts?.prepare([...texts, ...others], settings.maxSequenceLength, run);
    }
    const shape = this.grid({ ...settings, numFrames }).latentShape;
    return new WindowedRun<Condition>({
      ...{ plan: windows, axis: this.modelGeometry.framesFirst ? 1 : 2 },
      resident: this.residentConditions,
      encode: (prompt = settings.prompt, owned) => {
        const own = {
          ...plan,
          shape,
          settings: { ...settings, numFrames, ...(prompt === undefined ? {} : { prompt }) },
        };
        return this.conditions(own, { ...run, owned }, undefined);
      },
    });
  }

  async #predictor(plan: Plan, index: number, run: Run): Promise<Predictor<Condition>> {
    const { weights } = this.stageAt(index, plan);
    const others = this.parts.stages.filter((stage) => stage.weights !== weights && stage.weights.isLoaded);
    if (!weights.isLoaded && others.length > 0) {
      for (const other of others) other.weights.unload();
      // Both at a time is what nobody planned for.
      await this.device.releaseMemory();
    }
    const wasLoaded = weights.isLoaded;
    const model: ModelOf<Parts> = await weights.get(run);
    // What adding LoRAs to the weights needed.
    if (!wasLoaded) await this.device.releaseMemory();
    return {
      ...{ name: weights.name, precision: model.computeDtype },
      forward: (input, condition, second) => this.forward(model, input, condition, plan, second),
    };
  }

  async *#decode(
    latents: HostTensor,
    plan: LatentPlan,
    turn: Turn,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { device } = this;
    try {
      this.#runs.requireOpen();
      using run = this.#runs.begin(plan.settings);
      await turn.resume(run.signal);
      if (!this.parts.keepLoaded) for (const { weights } of this.parts.stages) weights.unload();
      await device.releaseMemory();
      const vae = (await this.parts.vae.get(run)) as DecoderOf<Parts> & VideoDecoder;
      throwIfAborted(run.signal, "decoding");
      const raw = this.rawLatents(vae, latents, plan);
      const total = plan.frameCount ?? plan.settings.numFrames;
      const onFrame = (done: number, passes: number) =>
        run.onStage?.({ stage: "decode", done, total: passes * total });
      const tiles = vae.tiling?.decode(device, vae, raw, { signal: run.signal, onFrame });
      const chunks = tiles ?? vae.decode(vae.prepare ? await vae.prepare(raw, run) : raw);
      // What the autoencoder remembers between chunks, where a reader leaves in the middle.
      run.owned.add({ [Symbol.dispose]: () => void chunks.return?.() });
      let frames = 0;
      for await (const frame of rgbFrames(device, chunks, { signal: run.signal, latents })) {
        frames += 1;
        // Tiles tell of their own.
        if (!tiles) onFrame(frames, 1);
        turn.rest(BETWEEN_FRAMES_MS);
        yield frame;
        await turn.resume(run.signal);
      }
    } catch (error) {
      throw this.#runs.explained(error);
    } finally {
      turn.end();
    }
  }
}

type Windowing = typeof import("./windows/windowing.js") & { readonly plan: PlannedWindows };

const GIVEN_TENSORS = [
  ...(["initialLatents", "imageEmbeds", "promptEmbeds", "promptEmbeds2"] as const),
  ...(["negativePromptEmbeds", "negativePromptEmbeds2"] as const),
];
