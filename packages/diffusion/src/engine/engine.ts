/** The host engine: one checkpoint, one device, and the plugins that change how its attention runs. */
import {
  type AttentionConfig,
  AttentionDispatcher,
  type EnginePlugin,
  type PluginHost,
  registeredPlugins,
} from "@lvsa/core";
import { type Device, type FolderReader, HookError, quoted } from "@lvsa/runtime";
import * as z from "zod";
import { readCheckpointSettings, readModelIndex } from "../checkpoint/checkpoint-folder.js";
import { openFewSteps } from "../checkpoint/few-steps.js";
import type { LoraOptions } from "../lora/lora-set.js";
import type { VaeTilingOptions } from "../models/autoencoders/tiling/tile-sizes.js";
import type { FewSteps } from "../models/definition/checkpoint-settings.js";
import type { BlockOffload } from "../models/parameters.js";
import { badOption } from "../pipelines/bad-option.js";
import { checkOpenOptions, openFields, withMethods } from "../pipelines/open-options.js";
import type { ParallelOptions } from "../pipelines/parallel-run.js";
import type {
  DecodeOptions,
  DecodeResult,
  GenerateOptions,
  GenerationResult,
  Precision,
  VideoPipeline,
} from "../pipelines/video-pipeline.js";
import { pipelineLoader } from "./pipeline-registry.js";

export interface EngineOptions {
  readonly device: Device;
  readonly precision?: Precision;
  /** See `PipelineOptions.keepLoaded`. */
  readonly keepLoaded?: boolean;
  /** See `PipelineOptions.offload`. */
  readonly offload?: BlockOffload;
  /** See `PipelineOptions.vaeTiling`. */
  readonly vaeTiling?: boolean | VaeTilingOptions;
  /** See `PipelineOptions.parallel`. */
  readonly parallel?: ParallelOptions;
  /** See `PipelineOptions.loras`. */
  readonly loras?: readonly LoraOptions[];
  /**
   * Run the few-step student that the checkpoint brings along (`few_steps` of its `lvsa.json`): its LoRA is added, and its preset
   * is that of every generation. Default false: the model itself. Not together with `loras`.
   */
  readonly fewSteps?: boolean;
  /** Besides those registered in the process: plugins, or names of packages that export `plugin`. */
  readonly plugins?: readonly (EnginePlugin | string)[];
  /**
   * How plugins named by package are loaded; default: from where this package lies. `(name) => import(name)` in the
   * application finds what only the application depends on.
   */
  readonly importPlugin?: (name: string) => Promise<unknown>;
  /** Use plugins registered in the process; default true. */
  readonly registered?: boolean;
  /** Attention backends by role; plugins may bring backends of their own. */
  readonly attention?: AttentionConfig;
  /** Where plugins' lines go; default: standard error. */
  readonly log?: (line: string) => void;
}

const FUNCTION = "expected a function";
const isFunction = (value: unknown) => typeof value === "function";
const backend = z.union([
  z.string(),
  z.strictObject({ backend: z.string(), extra: z.record(z.string(), z.unknown()).optional() }),
]);
const optionsSchema = z.strictObject({
  ...openFields,
  plugins: z
    .array(
      z.union([z.string(), withMethods<EnginePlugin>(["setup"], "expected a plugin")]),
      "expected plugins, or names of packages",
    )
    .optional(),
  importPlugin: z.custom(isFunction, FUNCTION).optional(),
  registered: z.boolean("expected true or false").optional(),
  fewSteps: z.boolean("expected true or false").optional(),
  attention: z
    .strictObject({ default: backend.optional(), perRole: z.record(z.string(), backend).optional() })
    .optional(),
  log: z.custom(isFunction, FUNCTION).optional(),
});

export class Engine implements PluginHost {
  readonly device: Device;
  readonly pipeline: VideoPipeline;
  readonly attention: AttentionDispatcher;
  readonly log: (line: string) => void;
  /** Of the student that runs. */
  readonly #preset: string | undefined;
  readonly #plugins: { plugin: EnginePlugin; undo: Disposable }[] = [];

  private constructor(
    device: Device,
    pipeline: VideoPipeline,
    log: (line: string) => void,
    preset: string | undefined,
  ) {
    this.device = device;
    this.pipeline = pipeline;
    this.attention = pipeline.attention;
    this.log = log;
    this.#preset = preset;
  }

  /**
   * Opens a checkpoint folder with the pipeline its `model_index.json` names, and sets plugins up.
   *
   * @throws UsageError `BAD_OPTION` for what is no folder, for options that are unknown or of another kind, and for
   *   `fewSteps` where the checkpoint brings no student; then what the pipeline's `fromPretrained` throws
   */
  static async open(folder: FolderReader, options: EngineOptions): Promise<Engine> {
    checkOpenOptions(optionsSchema, options);
    const index = await readModelIndex(folder);
    const load = await pipelineLoader(index._class_name);
    const fewSteps = options.fewSteps ? await fewStepsOf(folder, options.loras) : undefined;
    const loras = fewSteps ? [await openFewSteps(folder, fewSteps)] : options.loras;
    const pipeline = await load(folder, {
      device: options.device,
      attention: new AttentionDispatcher(),
      ...(options.precision ? { precision: options.precision } : {}),
      ...(options.keepLoaded ? { keepLoaded: true } : {}),
      ...(options.offload ? { offload: options.offload } : {}),
      ...(options.vaeTiling ? { vaeTiling: options.vaeTiling } : {}),
      ...(options.parallel ? { parallel: options.parallel } : {}),
      ...(loras ? { loras } : {}),
    });
    const log = options.log ?? ((line: string) => console.error(line));
    const engine = new Engine(options.device, pipeline, log, fewSteps?.preset);
    try {
      const named = await Promise.all(
        (options.plugins ?? []).map((plugin) => resolvePlugin(plugin, options.importPlugin)),
      );
      const plugins = [...(options.registered === false ? [] : registeredPlugins()), ...named];
      plugins.sort((a, b) => (a.order ?? 0) - (b.order ?? 0));
      for (const plugin of plugins) await engine.use(plugin);
      if (options.attention) engine.attention.configure(options.attention);
    } catch (error) {
      engine.dispose();
      throw error;
    }
    return engine;
  }

  /** Names of the plugins at work. */
  get plugins(): string[] {
    return this.#plugins.map((p) => p.plugin.name);
  }

  /** Sets a plugin up; disposing the result removes it. A plugin that is there already is not set up twice. */
  async use(plugin: EnginePlugin): Promise<Disposable> {
    const there = this.#plugins.find((p) => p.plugin.name === plugin.name);
    const entry = there ?? { plugin, undo: await plugin.setup(this) };
    if (!there) this.#plugins.push(entry);
    return {
      [Symbol.dispose]: () => {
        const i = this.#plugins.indexOf(entry);
        if (i < 0) return;
        this.#plugins.splice(i, 1);
        entry.undo[Symbol.dispose]();
      },
    };
  }

  /**
   * One generation after the other: a second call waits for the first, and for frames that are being read; it does not
   * fail. A reader that pauses for seconds between two frames does not hold it up.
   *
   * @throws UsageError for options that are unknown, out of range or not for this checkpoint, before anything is loaded;
   *   AbortError, NotFiniteError; ConfigError `ENGINE_DISPOSED` after `dispose`, also when that comes meanwhile
   */
  async generate(options: GenerateOptions): Promise<GenerationResult> {
    const preset = this.#preset;
    if (preset === undefined) return this.pipeline.generate(options);
    const { preset: asked = preset } = options;
    if (asked !== preset)
      throw badOption(
        `preset ${asked}: this engine runs the checkpoint's student, whose preset is ${preset}`,
        "Leave preset out, or open the engine without fewSteps.",
      );
    return this.pipeline.generate({ ...options, preset });
  }

  /**
   * Frames of latents that an earlier run made, in a turn of its own: only the autoencoder is loaded.
   *
   * @throws as the pipeline's `decode`
   */
  async decode(options: DecodeOptions): Promise<DecodeResult> {
    return this.pipeline.decode(options);
  }

  /**
   * Stops a generation that is at work, removes plugins, newest first, and frees the model. The device stays the caller's.
   */
  dispose(): void {
    for (const { undo } of this.#plugins.splice(0).reverse()) undo[Symbol.dispose]();
    this.pipeline.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

async function fewStepsOf(folder: FolderReader, loras: EngineOptions["loras"] = []): Promise<FewSteps> {
  const { fewSteps } = await readCheckpointSettings(folder);
  if (fewSteps && loras.length === 0) return fewSteps;
  throw badOption(
    fewSteps
      ? "fewSteps runs with a LoRA of its own, and others are given"
      : `fewSteps: ${quoted(folder.name)} brings no few-step student`,
    "Leave fewSteps out: then the model itself runs.",
  );
}

async function resolvePlugin(
  plugin: EnginePlugin | string,
  load: (name: string) => Promise<unknown> = (name) => import(/* @vite-ignore */ name),
): Promise<EnginePlugin> {
  if (typeof plugin !== "string") return plugin;
  let module: { plugin?: EnginePlugin };
  try {
    module = (await load(plugin)) as { plugin?: EnginePlugin };
  } catch (cause) {
    throw new HookError("PLUGIN_NOT_FOUND", `the plugin package ${plugin} does not load`, {
      fix: `npm install ${plugin}`,
      cause,
    });
  }
  if (module.plugin) return module.plugin;
  throw new HookError("NOT_A_PLUGIN", `${plugin} exports no \`plugin\``);
}
