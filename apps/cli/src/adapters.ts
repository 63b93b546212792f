/** Which adapter serves which model family; each is loaded when a checkpoint of the family runs with `--lvsa`. */
import { AdapterRegistry } from "@lvsa/core";

export function createAdapterRegistry(): AdapterRegistry {
  const registry = new AdapterRegistry();
  registry.register("wan", async () => (await import("@lvsa/adapter-wan")).createWanAdapter());
  registry.register("hunyuan", async () => (await import("@lvsa/adapter-hunyuan")).createHunyuanAdapter());
  registry.register("cogvideox", async () =>
    (await import("@lvsa/adapter-cogvideox")).createCogVideoXAdapter(),
  );
  return registry;
}
