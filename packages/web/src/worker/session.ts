/** One model on one GPU, and its clips, one after the other. */
import {
  Engine,
  type GenerationResult,
  type LatentPreview,
  type Preview,
  type RunState,
} from "@lvsa/diffusion";
import {
  describeCheckpoint,
  frameStep,
  inspectCheckpoint,
  type ModelDescription,
  modelShape,
  sizeMultiple,
} from "@lvsa/diffusion/catalog";
import { type MergedTensors, rehearse } from "@lvsa/diffusion/rehearsal";
import { installFamily, lvsaRecord } from "@lvsa/hooks/families";
import {
  activationDType,
  createDevice,
  type Device,
  DeviceError,
  deviceLabel,
  type FolderReader,
  isLvsaError,
  throwIfAborted,
  UsageError,
} from "@lvsa/runtime";
import type { ModelSource } from "../model-source.js";
import type { ClipData, ClipOptions, ClipPlan, GenerateCall, ModelInfo, Progress } from "../protocol.js";
import { keepRun, readKeptRun, removeKeptRun } from "../runs/kept-runs.js";
import { type ClipWeights, changedTensors, clipWeights, openLoras, presetsOf } from "./clip-weights.js";
import { openFolder } from "./open-folder.js";
import { lvsaSettings, planClip, trainingFrames } from "./plan-clip.js";
import { measureSpeed } from "./speed.js";
import type { formatsToTry } from "./write-clip.js";

/** Seconds between two states that are kept: a long clip writes megabytes each time. */
const KEEP_SECONDS = 2;
/** Milliseconds between two previews. */
const PREVIEW_MILLISECONDS = 200;

export interface CallEvents {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  readonly onNote: (note: string) => void;
  readonly onPreview: (preview: Preview) => void;
  /** Resolves when the caller lets the next step begin. */
  readonly gate: () => Promise<void>;
}

export interface SessionOptions {
  readonly source: ModelSource;
  /** Bytes of GPU memory that clips may take. Default: what is known of the device. */
  readonly memoryBudget?: number | undefined;
}

export class Session {
  readonly #folder: FolderReader;
  readonly #description: ModelDescription;
  readonly #budget: number | undefined;
  /** Learns colours from the first clip for those that follow. */
  #preview: LatentPreview | undefined;
  #device: Device | undefined;
  #engine: { readonly engine: Engine; readonly key: string } | undefined;
  /** What LoRAs change, of the weights that were planned last. */
  #changed: { readonly tensors: MergedTensors | undefined; readonly key: string } | undefined;
  #measured: { readonly speed: number; readonly from: ClipPlan["secondsFrom"] } | undefined;

  private constructor(folder: FolderReader, description: ModelDescription, budget: number | undefined) {
    this.#folder = folder;
    this.#description = description;
    this.#budget = budget;
  }

  /** @throws WeightsError for a checkpoint that is not whole; DeviceError `NO_WEBGPU`, `NO_ADAPTER` */
  static async open({ source, memoryBudget }: SessionOptions, events: CallEvents): Promise<Session> {
    // Without a GPU no model is fetched.
    const device = await createDevice({ onNotice: events.onNote });
    try {
      const folder = await openFolder(source, events);
      throwIfAborted(events.signal, "opening the model");
      const session = new Session(folder, describeCheckpoint(await inspectCheckpoint(folder)), memoryBudget);
      session.#device = device;
      await session.#open(clipWeights(session.#description, {}));
      return session;
    } catch (error) {
      device.dispose();
      throw error;
    }
  }

  async info(): Promise<ModelInfo> {
    const device = await this.#openDevice();
    const { geometry } = modelShape(this.#description);
    const { family, pipelineClass, defaults, recommended, fewSteps } = this.#description;
    const { numFrames, height, width, numInferenceSteps, guidanceScale, fps } = {
      ...defaults,
      ...recommended,
    };
    return {
      name: this.#folder.name,
      className: pipelineClass,
      family,
      defaults: { numFrames, height, width, numInferenceSteps, guidanceScale, fps },
      presets: presetsOf(family),
      fewSteps: fewSteps?.preset,
      trainingFrames: trainingFrames(geometry),
      frameStep: frameStep(geometry),
      sizeMultiple: sizeMultiple(geometry),
      device: deviceLabel(device.info),
      hardware: device.info.hardware,
    };
  }

  /** @throws WeightsError `LORA_UNKNOWN_KEY`, `LORA_INCOMPLETE`, `LORA_WRONG_SHAPE` naming keys, and as `planClip` */
  async plan(options: ClipOptions): Promise<ClipPlan> {
    const device = await this.#openDevice();
    const weights = clipWeights(this.#description, options);
    this.#measured ??= { speed: await measureSpeed(device), from: "estimated" };
    return planClip({
      model: this.#description,
      device,
      options: { ...options, ...weights.sampling },
      merged: await this.#changedBy(weights),
      speed: this.#measured.speed,
      speedFrom: this.#measured.from,
      availableBytes: options.memoryBudget ?? this.#budget ?? knownMemory(device),
    });
  }

  /**
   * A lost device is opened again, and the clip goes on from its last step, as long as it gets further each time.
   *
   * @throws UsageError for options that do not fit; DeviceError `NOT_ENOUGH_MEMORY` before anything is loaded,
   *   `DEVICE_LOST`; AbortError
   */
  async generate(call: GenerateCall, events: CallEvents): Promise<ClipData> {
    let from: RunState | undefined;
    if (call.resume !== undefined) {
      const kept = await readKeptRun(call.resume);
      if (!kept) {
        throw new UsageError("NO_KEPT_RUN", `no run is kept under the name "${call.resume}".`, {
          fix: "`keptRuns()` lists those that are.",
        });
      }
      from = kept.state;
    }
    const plan = await this.plan(call.options);
    if (!plan.fits) throw notEnoughMemory(plan);
    // Encoders are a quarter of the worker: they come with the first clip.
    const { formatsToTry } = await import("./write-clip.js");
    const formats = await formatsToTry(call.options.format ?? "auto", plan);
    const run: Run = { call, plan, formats, last: from, notes: [] };
    for (;;) {
      const before = run.last;
      try {
        return await this.#run(run, events);
      } catch (error) {
        const isLost = isLvsaError(error) && error.code === "DEVICE_LOST";
        if (isLost) this.#close();
        if (!isLost || !run.last || run.last === before) {
          // The steps since the state was kept last are not lost either. That they can not be kept is no news beside the error.
          await this.#keep(run).catch(() => undefined);
          throw error;
        }
        const { step } = run.last;
        note(run, events, `The GPU was lost (${error.message}); the clip went on after step ${step}.`);
      }
    }
  }

  dispose(): void {
    this.#close();
  }

  async #run(run: Run, events: CallEvents): Promise<ClipData> {
    const { call, plan } = run;
    const weights = clipWeights(this.#description, call.options);
    const {
      lvsa,
      format: _format,
      quality,
      seed,
      memoryBudget: _budget,
      loras: _loras,
      ...asked
    } = call.options;
    const { signal, onProgress } = events;
    const { device, engine } = await this.#open(weights);
    const started = performance.now();
    onProgress({ stage: "load", what: "kernels", done: 0, total: 1 });
    const size = { numFrames: plan.numFrames, height: plan.height, width: plan.width };
    const { kernels } = await rehearse({
      model: this.#description,
      ...size,
      guidanceScale: weights.sampling.guidanceScale ?? call.options.guidanceScale,
      precision: activationDType(device),
      merged: await this.#changedBy(weights),
      device,
    });
    await device.warm(kernels);
    throwIfAborted(signal, "the generation");
    const settings = lvsaSettings(lvsa);
    const clip = { ...size, ...engine.pipeline.clip(plan.numFrames, plan.height, plan.width) };
    using installed =
      settings && (await installFamily(engine.pipeline, clip, { config: settings, log: () => undefined }));

    this.#preview ??= await engine.pipeline.latentPreview();
    const preview = this.#preview;
    let [denoised, steps, lastPreview, lastKept] = [0, 0, Number.NEGATIVE_INFINITY, performance.now()];
    const onState = async (state: RunState): Promise<void> => {
      run.last = state;
      const now = performance.now();
      if (call.previews && now - lastPreview >= PREVIEW_MILLISECONDS) {
        lastPreview = now;
        events.onPreview(preview.picture(state.latents, state.step));
      }
      if (now - lastKept >= KEEP_SECONDS * 1000) {
        await this.#keep(run);
        lastKept = performance.now();
      }
      await events.gate();
      throwIfAborted(signal, "the generation");
    };
    // Everything but the first step, which loads the transformer and compiles what is left.
    let stepSeconds = 0;
    const generation: GenerationResult = await engine.generate({
      ...asked,
      ...size,
      ...(run.last ? { resumeFrom: run.last } : seed === undefined ? {} : { seed }),
      signal,
      onState,
      onStage: ({ stage, component, done, total }) => {
        if (stage !== "denoise")
          onProgress({ stage, done, total, ...(component ? { what: component } : {}) });
      },
      onStep: ({ index, count, seconds }) => {
        denoised += seconds;
        if (steps > 0) stepSeconds += seconds;
        steps += 1;
        const each = steps > 1 ? stepSeconds / (steps - 1) : seconds;
        onProgress({
          stage: "denoise",
          done: index + 1,
          total: count,
          secondsLeft: each * (count - index - 1),
        });
      },
    });
    if (steps > 1) {
      const perStep = plan.flops.planned / plan.steps;
      this.#measured = { speed: perStep / (stepSeconds / (steps - 1)), from: "measured" };
    }
    for (const one of generation.notes) note(run, events, one);

    const facts = {
      ...generation.settings,
      model: this.#folder.name,
      device: deviceLabel(device.info),
      lvsa: installed ? lvsaRecord(installed.resolved, plan.density) : null,
    };
    const decodeStarted = performance.now();
    const fitter = preview.fitter(generation.latents, plan.numFrames);
    let isFirst = true;
    const { writeClip } = await import("./write-clip.js");
    const video = await writeClip(run.formats, {
      format: call.options.format ?? "auto",
      quality,
      metadata: { title: call.options.prompt, settings: facts },
      signal,
      onNote: (text) => note(run, events, text),
      decode: async () => {
        if (!isFirst)
          return engine.decode({ latents: generation.latents, ...size, fps: generation.fps, signal });
        isFirst = false;
        return generation;
      },
      onFrame: async (rgb, index) => {
        fitter.frame(rgb, index, plan.width);
        onProgress({ stage: "encode", done: index + 1, total: generation.frameCount });
        await events.gate();
        throwIfAborted(signal, "the generation");
      },
    });
    fitter.fit();
    for (const one of video.notes) note(run, events, one);
    for (const name of [call.keepAs, call.resume]) if (name !== undefined) await removeKeptRun(name);
    const { latents, width, height, fps, frameCount } = generation;
    const ended = performance.now();
    return {
      bytes: video.bytes,
      format: video.format,
      width,
      height,
      fps,
      frameCount,
      latents: { data: latents.data.slice(), shape: latents.shape },
      seed: generation.seed,
      settings: facts,
      notes: run.notes,
      seconds: {
        denoise: denoised,
        decode: (ended - decodeStarted) / 1000,
        total: (ended - started) / 1000,
      },
    };
  }

  async #keep({ call, last }: Run): Promise<void> {
    if (call.keepAs === undefined || !last) return;
    await keepRun(call.keepAs, last, { model: this.#folder.name, options: plainOptions(call.options) });
  }

  async #changedBy(weights: ClipWeights): Promise<MergedTensors | undefined> {
    if (this.#changed?.key !== weights.key) {
      const tensors = await changedTensors(this.#folder, this.#description, weights);
      this.#changed = { tensors, key: weights.key };
    }
    return this.#changed.tensors;
  }

  /** Opened again after it was lost. */
  async #openDevice(): Promise<Device> {
    // It may have been lost while nothing ran: a driver was updated, the machine slept.
    if (this.#device?.isLost) this.#close();
    this.#device ??= await createDevice();
    return this.#device;
  }

  /** The device, and the engine with these weights. */
  async #open(weights: ClipWeights): Promise<{ device: Device; engine: Engine }> {
    const device = await this.#openDevice();
    if (this.#engine?.key !== weights.key) {
      this.#closeEngine();
      const which = weights.isStudent ? { fewSteps: true } : { loras: openLoras(weights.loras) };
      const engine = await Engine.open(this.#folder, { device, registered: false, ...which });
      this.#engine = { engine, key: weights.key };
    }
    return { device, engine: this.#engine.engine };
  }

  #closeEngine(): void {
    this.#engine?.engine.dispose();
    this.#engine = undefined;
  }

  #close(): void {
    this.#closeEngine();
    this.#device?.dispose();
    this.#device = undefined;
  }
}

interface Run {
  readonly call: GenerateCall;
  readonly plan: ClipPlan;
  readonly formats: Awaited<ReturnType<typeof formatsToTry>>;
  /** The last state that is known. */
  last: RunState | undefined;
  /** What is said with the clip. */
  readonly notes: string[];
}

function note(run: Run, events: CallEvents, text: string): void {
  run.notes.push(text);
  events.onNote(text);
}

/** Software adapters live in main memory, of which browsers tell roughly; GPUs do not tell at all. */
function knownMemory(device: Device): number | undefined {
  const { deviceMemory } = globalThis.navigator as { deviceMemory?: number };
  return device.info.hardware === "software" && deviceMemory ? deviceMemory * 2 ** 30 : undefined;
}

function notEnoughMemory(plan: ClipPlan): DeviceError {
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const fitting = plan.fitting
    .map(({ words, peakBytes }) => `${words} (${gigabytes(peakBytes)})`)
    .join(", or ");
  const has = plan.availableBytes === undefined ? "" : `, and there are ${gigabytes(plan.availableBytes)}`;
  return new DeviceError(
    "NOT_ENOUGH_MEMORY",
    plan.refusal ??
      `this clip needs about ${gigabytes(plan.peakBytes)} of memory (in ${plan.peakPhase})${has}.`,
    { fix: fitting ? `These would fit: ${fitting}.` : "Make the clip shorter or smaller." },
  );
}

/** What of the options can be written down: not images and tensors, and of LoRAs their names. */
function plainOptions({ loras, ...options }: ClipOptions): Record<string, unknown> {
  const plain = Object.entries(options).filter(
    ([, value]) => value !== undefined && (typeof value !== "object" || value === null || isPlain(value)),
  );
  const names = loras?.map(({ file, weight = 1 }) => ({ file: { name: file.name }, weight }));
  return { ...Object.fromEntries(plain), ...(names?.length ? { loras: names } : {}) };
}

function isPlain(value: object): boolean {
  return !("data" in value) && !ArrayBuffer.isView(value);
}
