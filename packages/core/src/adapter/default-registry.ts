/** The process's own adapter registry, for applications that need only one. */
import { type AdapterLoader, AdapterRegistry } from "./adapter-registry.js";
import type { ModelAdapter } from "./model-adapter.js";

/** Shared by all copies of this package, so that one registration serves everyone. */
const REGISTRY = Symbol.for("lvsa.adapter-registry");

/** The registry that `registerAdapter` and `getAdapter` use; made when it is first asked for. */
export function defaultAdapterRegistry(): AdapterRegistry {
  const holder = globalThis as { [REGISTRY]?: AdapterRegistry };
  holder[REGISTRY] ??= new AdapterRegistry();
  return holder[REGISTRY];
}

/** Adds a family to the process's registry, or replaces it; disposing the result undoes that. */
export function registerAdapter(name: string, loader: AdapterLoader): Disposable {
  return defaultAdapterRegistry().register(name, loader);
}

/**
 * A new adapter of a family from the process's registry.
 *
 * @throws ConfigError `UNKNOWN_ADAPTER` that lists the known names
 */
export function getAdapter(name: string): Promise<ModelAdapter> {
  return defaultAdapterRegistry().get(name);
}
