/** Which adapter serves which model family; each is loaded when a checkpoint of the family runs with `--lvsa`. */
import { AdapterRegistry, type ModelAdapter } from "@lvsa/core";
import type { AttentionCall, AttentionResult, AttentionTarget } from "@lvsa/diffusion";

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
