/** The page's end: a worker with a model, from which clips are asked. */
import type { Preview } from "@lvsa/diffusion";
import { AbortError, checkOptionKinds, LvsaError, type OptionKinds, UsageError } from "@lvsa/runtime/errors";
import { type ModelSource, modelSource } from "./model-source.js";
import type {
  CallName,
  Calls,
  ClipData,
  ClipOptions,
  ClipPlan,
  ModelInfo,
  Progress,
  Reply,
  Request,
} from "./protocol.js";
import { fromSent } from "./sent-error.js";

export interface GeneratorOptions {
  /** An address (kept in the browser after the first load), or what the user picked or dropped. */
  readonly model: string | URL | ModelSource;
  /** Bytes of GPU memory that clips may take; WebGPU does not tell how much there is. */
  readonly memoryBudget?: number;
  /** Hears how far the model's files are. */
  readonly onProgress?: (progress: Progress) => void;
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
  /** Makes the worker, where the application's bundler needs it said. Default: the worker of this package. */
  readonly createWorker?: () => Worker;
}

export interface GenerateHooks {
  readonly onProgress?: (progress: Progress) => void;
  /** Hears a small picture of every latent frame after steps, a few times per second at most. */
  readonly onPreview?: (preview: Preview) => void;
  readonly onNote?: (note: string) => void;
  /** Hears that the clip is held now, since it was paused, and that it goes on. */
  readonly onHeld?: (isHeld: boolean) => void;
  /** Stops the generation within one step with `AbortError`. */
  readonly signal?: AbortSignal;
  /**
   * Keep the state in the browser under this name while the clip is not finished, every few seconds. `keptRuns` lists what
   * is kept. A run that fails or is stopped keeps its state.
   */
  readonly keepAs?: string;
  /** Go on with the run that was kept under this name; the options must be those that it began with. */
  readonly resume?: string;
}

/** A finished clip: its file, and everything that shaped it. */
export interface Clip extends Omit<ClipData, "bytes"> {
  /** The file, of the type of its format; the settings are in its metadata. */
  readonly blob: Blob;
}

export interface VideoGenerator {
  readonly model: ModelInfo;
  /** What a clip would take. Nothing is loaded for it. @throws LvsaError for sizes and settings that do not fit */
  plan(options: ClipOptions): Promise<ClipPlan>;
  /**
   * One clip after the other: a second call waits for the first.
   *
   * @throws LvsaError as the engine does; AbortError; `WORKER_GONE` when the browser ended the worker: the next call starts
   *   another one
   */
  generate(options: ClipOptions, hooks?: GenerateHooks): Promise<Clip>;
  /** Holds the running clip after its step, or after a frame that is being written (`onHeld` hears when); `false` goes on. */
  pause(isPaused?: boolean): void;
  /** Ends the worker and frees its memory. Clips that are not finished fail with `WORKER_GONE`. */
  dispose(): void;
}

const GENERATOR_KINDS: OptionKinds<GeneratorOptions> = {
  ...{ model: "string|object", memoryBudget: "number", onProgress: "function", onNote: "function" },
  ...{ signal: "object", createWorker: "function" },
};
const HOOK_KINDS: OptionKinds<GenerateHooks> = {
  ...{ onProgress: "function", onPreview: "function", onNote: "function", onHeld: "function" },
  ...{ signal: "object", keepAs: "string", resume: "string" },
};
/** Names; the values are the worker's to check. */
const CLIP_KINDS: OptionKinds<ClipOptions> = {
  ...{
    prompt: "any",
    negativePrompt: "any",
    prompts: "any",
    seed: "any",
    fps: "any",
    maxSequenceLength: "any",
  },
  ...{ promptEmbeds: "any", negativePromptEmbeds: "any", promptEmbeds2: "any", negativePromptEmbeds2: "any" },
  ...{ numFrames: "any", windowFrames: "any", windowOverlap: "any", height: "any", width: "any" },
  ...{ numInferenceSteps: "any", guidanceScale: "any", guidanceScale2: "any", useDynamicGuidance: "any" },
  ...{ guidanceBatch: "any" },
  ...{ flowShift: "any", scheduler: "any", sigmas: "any", preset: "any", stepCache: "any" },
  ...{ boundaryStepIndex: "any", initialLatents: "any", image: "any", lastImage: "any", imageEmbeds: "any" },
  ...{ lvsa: "any", format: "any", quality: "any", loras: "any", memoryBudget: "any" },
};

const TYPES = { mp4: "video/mp4", webm: "video/webm", gif: "image/gif", png: "image/png" } as const;

/**
 * Starts a worker and opens a model in it.
 *
 * @throws UsageError `BAD_OPTION`; LvsaError `NO_WEBGPU`, `NO_ADAPTER` (see `webgpuProblem`), `NOT_FOUND` and others of the checkpoint; AbortError
 */
export async function createGenerator(options: GeneratorOptions): Promise<VideoGenerator> {
  checkOptionKinds(GENERATOR_KINDS, options, "createGenerator");
  const { memoryBudget } = options;
  const source = modelSource(options.model);
  const open = { source, ...(memoryBudget === undefined ? {} : { memoryBudget }) };
  const start = () => new WorkerCalls((options.createWorker ?? defaultWorker)());
  let calls = start();
  let model: ModelInfo;
  // Browsers ask the user or decide by themselves, and let only pages ask: what is not persistent goes when the disk is full.
  if (source.kind === "url" && source.keep)
    void globalThis.navigator?.storage?.persist?.().catch(() => false);
  try {
    model = await calls.call("open", open, options);
  } catch (error) {
    calls.end();
    throw error;
  }
  let isDisposed = false;
  let reopening: Promise<unknown> = Promise.resolve();
  /** The worker, started again where the browser ended it. */
  const ready = async (): Promise<WorkerCalls> => {
    if (isDisposed) throw new UsageError("GENERATOR_DISPOSED", "the generator was disposed before.");
    if (calls.isGone) {
      calls = start();
      reopening = calls.call("open", open, options);
    }
    await reopening;
    return calls;
  };
  let last: number | undefined;
  return {
    model,
    plan: async (clip) => {
      checkOptionKinds(CLIP_KINDS, clip, "a clip");
      return (await ready()).call("plan", clip, {});
    },
    generate: async (clip, hooks = {}) => {
      checkOptionKinds(CLIP_KINDS, clip, "a clip");
      checkOptionKinds(HOOK_KINDS, hooks, "generate, after those of the clip");
      const worker = await ready();
      const { keepAs, resume } = hooks;
      const args = {
        options: clip,
        previews: hooks.onPreview !== undefined,
        ...(keepAs === undefined ? {} : { keepAs }),
        ...(resume === undefined ? {} : { resume }),
      };
      const { bytes, ...data } = await worker.call("generate", args, hooks, (id) => {
        last = id;
      });
      return { ...data, blob: new Blob([bytes], { type: TYPES[data.format] }) };
    },
    pause: (isPaused = true) => {
      if (last !== undefined) calls.send({ id: last, pause: isPaused });
    },
    dispose: () => {
      isDisposed = true;
      calls.end();
    },
  };
}

function defaultWorker(): Worker {
  return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "lvsa" });
}

interface CallHooks {
  readonly onProgress?: (progress: Progress) => void;
  readonly onPreview?: (preview: Preview) => void;
  readonly onNote?: (note: string) => void;
  readonly onHeld?: (isHeld: boolean) => void;
  readonly signal?: AbortSignal;
}

interface Pending extends CallHooks {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Calls to one worker, for as long as it lives. */
class WorkerCalls {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 1;
  #gone: LvsaError | undefined;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.addEventListener("message", (event: MessageEvent<Reply>) => this.#hear(event.data));
    worker.addEventListener("messageerror", () => this.#lose("a message could not be read"));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#lose(event.message || "its program could not be loaded");
    });
  }

  get isGone(): boolean {
    return this.#gone !== undefined;
  }

  call<K extends CallName>(
    call: K,
    args: Calls[K]["args"],
    hooks: CallHooks,
    onId?: (id: number) => void,
  ): Promise<Calls[K]["result"]> {
    const id = this.#next++;
    const { signal } = hooks;
    return new Promise<Calls[K]["result"]>((resolve, reject) => {
      if (this.#gone) return reject(this.#gone);
      if (signal?.aborted) return reject(stopped(signal));
      const cancel = () => this.send({ id, cancel: true });
      signal?.addEventListener("abort", cancel, { once: true });
      const done = () => signal?.removeEventListener("abort", cancel);
      this.#pending.set(id, {
        ...hooks,
        resolve: (value) => {
          done();
          resolve(value as Calls[K]["result"]);
        },
        reject: (error) => {
          done();
          reject(signal?.aborted ? stopped(signal) : error);
        },
      });
      onId?.(id);
      try {
        this.send({ id, call, args } as Request);
      } catch (cause) {
        this.#pending.delete(id);
        done();
        reject(
          new UsageError("NOT_SENDABLE", `the options can not be sent to the worker: ${String(cause)}`, {
            fix: "Give plain values: no functions, no objects of classes.",
          }),
        );
      }
    });
  }

  send(request: Request): void {
    if (!this.#gone) this.#worker.postMessage(request);
  }

  end(): void {
    this.#worker.terminate();
    this.#lose("it was ended");
  }

  #hear(reply: Reply): void {
    if ("ready" in reply) {
      this.#watch(reply.lock);
      return;
    }
    const call = this.#pending.get(reply.id);
    if (!call) return;
    if ("progress" in reply) call.onProgress?.(reply.progress);
    else if ("preview" in reply) call.onPreview?.(reply.preview);
    else if ("note" in reply) call.onNote?.(reply.note);
    else if ("held" in reply) call.onHeld?.(reply.held);
    else {
      this.#pending.delete(reply.id);
      if ("error" in reply) call.reject(fromSent(reply.error));
      else call.resolve(reply.result);
    }
  }

  /** The lock is free when the worker is gone, however it went. */
  #watch(lock: string | undefined): void {
    if (lock === undefined) return;
    void globalThis.navigator.locks?.request(lock, () => {
      this.#worker.terminate();
      this.#lose("the browser ended it, perhaps for want of memory");
    });
  }

  #lose(why: string): void {
    if (this.#gone) return;
    this.#gone = new LvsaError("WORKER_GONE", `the worker is gone: ${why}.`, {
      fix: "Generate again: another worker is started, and a run that was kept goes on. Use fewer frames if it happens again.",
    });
    for (const call of this.#pending.values()) call.reject(this.#gone);
    this.#pending.clear();
  }
}

function stopped(signal: AbortSignal): AbortError {
  return new AbortError("ABORTED", "the generation was stopped", { cause: signal.reason });
}
