/** Plugins change what an engine does, and can be removed again. */
import type { PluginHost } from "./host.js";

export interface EnginePlugin {
  readonly name: string;
  /** Smaller runs earlier; default 0. Equal orders run as registered. */
  readonly order?: number;
  /** Called when the engine's model is open, before the first generation. Disposing restores what was there. */
  setup(host: PluginHost): Disposable | Promise<Disposable>;
}

/** Plugins of this process by name; across copies of this package, so that one registration serves all. */
const REGISTRY = Symbol.for("lvsa.engine-plugins");

function registry(): Map<string, EnginePlugin> {
  const holder = globalThis as { [REGISTRY]?: Map<string, EnginePlugin> };
  holder[REGISTRY] ??= new Map();
  return holder[REGISTRY];
}

/**
 * Makes a plugin known to every engine that this process opens later (`node --import @lvsa/hooks/register`).
 * Registering the same name again replaces it, so that doing it twice changes nothing.
 */
export function registerPlugin(plugin: EnginePlugin): Disposable {
  registry().set(plugin.name, plugin);
  return {
    [Symbol.dispose]: () => {
      if (registry().get(plugin.name) === plugin) registry().delete(plugin.name);
    },
  };
}

/** In the order they will run. */
export function registeredPlugins(): EnginePlugin[] {
  return [...registry().values()].sort((a, b) => (a.order ?? 0) - (b.order ?? 0));
}
