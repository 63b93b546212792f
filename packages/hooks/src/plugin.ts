/** LVSA as a plugin of the host engine: reads the settings, installs the hook of the engine's model, adds the backend. */
import type { EnginePlugin, PluginHost } from "@lvsa/core";
import { registerLvsaBackend } from "./backend.js";
import { type Environment, processEnvironment, type ResolvedSettings, resolveSettings } from "./env.js";
import { type HookSettings, hookSettingsSchema, SETTINGS } from "./env-schema.js";
import { GenerationMonitor } from "./generation-monitor.js";
import { patchCandidates } from "./geometry.js";
import { type HookEvent, HookLog, type HookLogger } from "./hook-events.js";
import { engagesAuto, lvsaConfigOf, requireSomeKeys, withSettings } from "./lvsa-settings.js";
import {
  type HookDefinition,
  type HookHost,
  listHooks,
  loadPackage,
  type PackageLoaders,
} from "./plugins.js";

/** Settings by name (they win over variables), and how the plugin behaves. */
export interface HooksOptions extends HookSettings {
  /** Default: the environment of the process; `{}`: none. */
  readonly env?: Environment;
  /** Hooks besides those of `listHooks()`. */
  readonly hooks?: readonly HookDefinition[];
  /** Families to switch on besides those that settings switch on; for hooks of one's own. */
  readonly families?: readonly string[];
  /** How adapter packages are loaded, by family. Bundlers need this; Node finds them by name. */
  readonly packages?: PackageLoaders;
  /** Where log lines go; default: the engine's log. */
  readonly logger?: HookLogger;
  readonly onEvent?: (event: HookEvent) => void;
}

/** Owner in errors and name among an engine's plugins. */
export const PLUGIN_NAME = "@lvsa/hooks";

/** Options and environment as settings. @throws ConfigError as `resolveSettings` does */
export function settingsOf(options: HooksOptions = {}): ResolvedSettings {
  const { env = processEnvironment(), hooks = [], families = [] } = options;
  const names = new Set<string>(Object.keys(hookSettingsSchema.shape));
  const explicit = Object.fromEntries(Object.entries(options).filter(([name]) => names.has(name)));
  return resolveSettings(explicit as HookSettings, env, {
    switches: hooks.map(({ variable }) => variable),
    asked: families.length > 0,
  });
}

/** Whether a hook is switched on. */
export function isHookOn(
  { family, variable }: HookDefinition,
  { settings, switches }: ResolvedSettings,
  families: readonly string[] = [],
): boolean {
  const own = SETTINGS.find(({ info }) => info.variable === variable);
  const setting = own ? settings[own.name] : switches[variable];
  return setting === true || (setting === undefined && families.includes(family));
}

/** Whether any hook is on: hosts with a command line ask before they add the plugin. */
export function hooksRequested(options: HooksOptions = {}): boolean {
  const resolved = settingsOf(options);
  const hooks = [...listHooks(), ...(options.hooks ?? [])];
  return hooks.some((hook) => isHookOn(hook, resolved, options.families));
}

/**
 * The plugin. Settings are read when an engine sets it up, so that each engine may have other ones.
 *
 * Setting up throws ConfigError for bad settings (when a hook is on), HookError `ADAPTER_MISSING` for a missing
 * adapter package and `LAYER_CLAIMED` when the layers are taken.
 */
export function lvsaPlugin(options: HooksOptions = {}): EnginePlugin {
  return { name: PLUGIN_NAME, setup: (engine) => setUp(engine, options) };
}

/** For `plugins: ["@lvsa/hooks"]` in the options of an engine. */
export const plugin: EnginePlugin = lvsaPlugin();

async function setUp(engine: PluginHost, options: HooksOptions): Promise<Disposable> {
  const resolved = settingsOf(options);
  const { settings } = resolved;
  const logger: HookLogger = options.logger ?? ((line) => engine.log(line));
  const log = new HookLog({
    logger,
    ...(options.onEvent ? { onEvent: options.onEvent } : {}),
    ...(settings.warnFallback === undefined ? {} : { warnFallback: settings.warnFallback }),
  });
  for (const message of resolved.warnings) log.emit({ type: "warning", message });

  const { family } = engine.pipeline;
  const hooks = [...(options.hooks ?? []), ...listHooks()];
  const hook = hooks.find((definition) => definition.family === family);
  const on = hooks.filter((definition) => isHookOn(definition, resolved, options.families));
  const undo: Disposable[] = [];
  const release = () => {
    for (const one of undo.splice(0).reverse()) one[Symbol.dispose]();
  };
  try {
    if (hook && on.includes(hook)) undo.push(await installHook(engine, hook, settings, options, log));
    else if (on.length > 0) {
      const variables = on.map(({ variable }) => `${variable}=1`).join(", ");
      log.emit({ type: "warning", message: `${variables}, but this engine runs a ${family} model: dense` });
    }
    undo.push(
      await registerLvsaBackend(engine, { settings, log, ...(hook ? { hook } : {}), ...packagesOf(options) }),
    );
  } catch (error) {
    release();
    throw error;
  }
  return { [Symbol.dispose]: release };
}

function packagesOf({ packages }: HooksOptions): { packages?: PackageLoaders } {
  return packages ? { packages } : {};
}

async function installHook(
  engine: PluginHost,
  hook: HookDefinition,
  settings: HookSettings,
  options: HooksOptions,
  log: HookLog,
): Promise<Disposable> {
  const { family, layer } = hook;
  const { pipeline } = engine;
  const module = await loadPackage(hook, options.packages);
  const facts = hook.target(module, pipeline);
  requireSomeKeys(settings, facts);
  const { referenceLatentFrames, temporalFactor } = withSettings(facts, settings);
  const host: HookHost = {
    transformers: pipeline.transformers,
    geometry: { ...pipeline.geometry, temporalFactor },
  };
  const monitor = new GenerationMonitor({
    family,
    origin: `${family}_hook`,
    settings,
    log,
    memory: () => engine.device.memory(),
    ...(hook.details ? { details: hook.details } : {}),
  });
  const engages = engagesAuto(settings);
  const candidates = patchCandidates(settings);
  const { totalLatentFrames } = settings;
  const installed = hook.target(module, host).install({
    owner: PLUGIN_NAME,
    config: { ...lvsaConfigOf(settings), referenceLatentFrames },
    clip: {
      ...(totalLatentFrames === undefined ? {} : { latentFrames: totalLatentFrames }),
      ...(candidates.length > 0 ? { patchesPerFrame: candidates } : {}),
    },
    engages: (clip) => {
      const yes = engages(clip);
      if (!yes) log.emit({ type: "within-reference", family, ...clip });
      return yes;
    },
    onCall: (event) => monitor.onCall(event),
    onFallback: (event) => monitor.onFallback(event),
  });
  log.emit({
    type: "installed",
    family,
    layer,
    blocks: installed.blocks,
    totalLatentFrames,
    sparsityScale: settings.sparsityScale ?? 1,
  });
  return installed;
}
