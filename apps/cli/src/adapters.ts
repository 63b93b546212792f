/** Which adapter serves which model family; each is loaded when a checkpoint of the family runs with `--lvsa`. */
import {
  AdapterRegistry,
  type AttentionCall,
  type AttentionResult,
  type AttentionTarget,
  type ModelAdapter,
} from "@lvsa/core";

export type CliAdapter = ModelAdapter<AttentionTarget, AttentionCall, AttentionResult>;

export function createAdapterRegistry(): AdapterRegistry<CliAdapter> {
  const registry = new AdapterRegistry<CliAdapter>();
  registry.register("wan", async () => (await import("@lvsa/adapter-wan")).createWanAdapter());
  registry.register("hunyuan", async () => (await import("@lvsa/adapter-hunyuan")).createHunyuanAdapter());
  registry.register("cogvideox", async () =>
    (await import("@lvsa/adapter-cogvideox")).createCogVideoXAdapter(),
  );
  return registry;
}
