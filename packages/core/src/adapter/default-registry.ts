/** The process's own adapter registry, for applications that need only one. */
import { type AdapterLoader, AdapterRegistry } from "./adapter-registry.js";

/** Shared by all copies of this package, so that one registration serves everyone. */
const REGISTRY = Symbol.for("lvsa.adapter-registry");

/** The registry that `registerAdapter` and `getAdapter` use; made when it is first asked for. */
export function defaultAdapterRegistry(): AdapterRegistry<unknown> {
  const holder = globalThis as { [REGISTRY]?: AdapterRegistry<unknown> };
  holder[REGISTRY] ??= new AdapterRegistry<unknown>();
  return holder[REGISTRY];
}

/** Adds a family to the process's registry, or replaces it; disposing the result undoes that. */
export function registerAdapter<Adapter>(name: string, loader: AdapterLoader<Adapter>): Disposable {
  return defaultAdapterRegistry().register(name, loader);
}

/**
 * A new adapter of a family from the process's registry. The caller states its type.
 *
 * @throws ConfigError `UNKNOWN_ADAPTER` that lists the known names
 */
export async function getAdapter<Adapter>(name: string): Promise<Adapter> {
  return (await defaultAdapterRegistry().get(name)) as Adapter;
}
