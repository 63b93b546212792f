/** LVSA as a plugin of the host engine: installs the hook of the engine's model and adds the backend, as was said. */
import { checkOptionKinds, type EnginePlugin, type PluginHost } from "@lvsa/core";
import { registerLvsaBackend } from "./backend.js";
import { GenerationMonitor } from "./generation-monitor.js";
import { patchCandidates } from "./geometry.js";
import { type HookDefinition, type HookHost, loadPackage } from "./hook-definition.js";
import { HookLog } from "./hook-events.js";
import { engagesAuto, lvsaConfigOf, requireSomeKeys, withSettings } from "./lvsa-settings.js";
import { HOOKS_KINDS, type HooksOptions, ResolvedHooks, resolveHooks } from "./resolve-hooks.js";

/** Owner in errors and name among an engine's plugins. */
export const PLUGIN_NAME = "@lvsa/hooks";

/**
 * The plugin. Options are read with the environment when an engine sets it up, so that each engine may find other ones;
 * what `resolveHooks` read already is taken as it is.
 *
 * @throws UsageError `BAD_OPTION` for names that no option has. Setting up throws UsageError for bad settings (when a hook is on), HookError `ADAPTER_MISSING` for a missing
 * adapter package and `LAYER_CLAIMED` when the layers are taken.
 */
export function lvsaPlugin(options: HooksOptions | ResolvedHooks = {}): EnginePlugin {
  if (!(options instanceof ResolvedHooks)) checkOptionKinds(HOOKS_KINDS, options, "lvsaPlugin");
  return {
    name: PLUGIN_NAME,
    setup: async (engine) =>
      setUp(engine, options instanceof ResolvedHooks ? options : resolveHooks(options)),
  };
}

/** For `plugins: ["@lvsa/hooks"]` in the options of an engine. */
export const plugin: EnginePlugin = lvsaPlugin();

/** The log of a plugin or foreign hook. What was wrong with options and variables is its first lines. */
export function hookLog(resolved: ResolvedHooks, hostLog: (line: string) => void): HookLog {
  const { options, settings, warnings } = resolved;
  const log = new HookLog({
    logger: options.logger ?? hostLog,
    ...(options.onEvent ? { onEvent: options.onEvent } : {}),
    ...(settings.warnFallback === undefined ? {} : { warnFallback: settings.warnFallback }),
  });
  for (const message of warnings) log.emit({ type: "warning", message });
  return log;
}

async function setUp(engine: PluginHost, resolved: ResolvedHooks): Promise<Disposable> {
  const { on } = resolved;
  const log = hookLog(resolved, (line) => engine.log(line));
  const { family } = engine.pipeline;
  const hook = resolved.hookOf(family);
  const undo: Disposable[] = [];
  const release = () => {
    for (const one of undo.splice(0).reverse()) one[Symbol.dispose]();
  };
  try {
    if (hook && resolved.isOn(hook)) undo.push(await installHook(engine, hook, resolved, log));
    else if (on.length > 0) {
      const variables = on.map(({ variable }) => `${variable}=1`).join(", ");
      log.emit({ type: "warning", message: `${variables}, but this engine runs a ${family} model: dense` });
    }
    undo.push(await registerLvsaBackend(engine, { resolved, log }));
  } catch (error) {
    release();
    throw error;
  }
  return { [Symbol.dispose]: release };
}

async function installHook(
  engine: PluginHost,
  hook: HookDefinition,
  { settings, options }: ResolvedHooks,
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
    onNotice: (message) => log.emit({ type: "warning", message }),
    onScheduledDense: (event) => monitor.onScheduledDense(event),
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
