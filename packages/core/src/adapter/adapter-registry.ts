/** Adapters by family name, each loaded when it is first asked for. */
import { ConfigError } from "@lvsa/runtime";
import type { ModelAdapter } from "./model-adapter.js";

export type AdapterLoader<Adapter = ModelAdapter> = () => Promise<Adapter>;

/**
 * One per engine or application; nothing is shared between two registries.
 *
 * ```ts
 * const adapters = new AdapterRegistry();
 * adapters.register("wan", async () => (await import("@lvsa/adapter-wan")).createWanAdapter());
 * const wan = await adapters.get("wan");
 * ```
 */
export class AdapterRegistry<Adapter = ModelAdapter> {
  readonly #loaders = new Map<string, AdapterLoader<Adapter>>();

  /** Known names, sorted. */
  get names(): string[] {
    return [...this.#loaders.keys()].sort();
  }

  /** Adds a family, or replaces one; disposing the result brings back what was there before. */
  register(name: string, loader: AdapterLoader<Adapter>): Disposable {
    const previous = this.#loaders.get(name);
    this.#loaders.set(name, loader);
    return {
      [Symbol.dispose]: () => {
        // Someone else may have replaced it since.
        if (this.#loaders.get(name) !== loader) return;
        if (previous) this.#loaders.set(name, previous);
        else this.#loaders.delete(name);
      },
    };
  }

  /**
   * A new adapter, as its loader makes it. Names are case-sensitive.
   *
   * @throws ConfigError that lists the known names.
   */
  async get(name: string): Promise<Adapter> {
    const loader = this.#loaders.get(name);
    if (loader) return loader();
    throw new ConfigError(
      "UNKNOWN_ADAPTER",
      `Unknown adapter '${name}'. Available adapters: ${this.names.join(", ") || "none"}`,
      { fix: "Register it with AdapterRegistry.register, or correct the name." },
    );
  }
}
