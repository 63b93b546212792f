/** The hooks that exist: those of this repository's families, and those that packages of others register. */
import type { FallbackEvent } from "@lvsa/core";
import { type Cosmos3Package, cosmos3Target } from "./cosmos3-hook.js";
import { defineAdapterHook, defineHook, exported, type HookDefinition } from "./hook-definition.js";

/** Hooks of this process by family; across copies of this package, so that one registration serves all. */
const REGISTRY = Symbol.for("lvsa.hooks");

function registry(): Map<string, HookDefinition> {
  const holder = globalThis as { [REGISTRY]?: Map<string, HookDefinition> };
  holder[REGISTRY] ??= new Map();
  return holder[REGISTRY];
}

/**
 * Makes a hook known to every plugin that is set up later in this process, in place of one of the same family. A package
 * that calls this when it is imported needs nothing else: `node --import @lvsa/hooks/register --import their-package app.js`
 * listens to its variable. Disposing the result takes the hook back. Registrations lie on `globalThis` under
 * `Symbol.for("lvsa.hooks")`.
 */
export function registerHook(definition: HookDefinition): Disposable {
  registry().set(definition.family, definition);
  return {
    [Symbol.dispose]: () => {
      if (registry().get(definition.family) === definition) registry().delete(definition.family);
    },
  };
}

/** One per family: registered hooks, in the order of their registration, then those of this repository. */
export function listHooks(): readonly HookDefinition[] {
  return onePerFamily([...registry().values(), ...ownHooks()]);
}

/** The first of every family. */
export function onePerFamily(hooks: readonly HookDefinition[]): readonly HookDefinition[] {
  return hooks.filter(({ family }, i) => hooks.findIndex((other) => other.family === family) === i);
}

/** In the order in which the Python plugin installs them. */
export function ownHooks(): readonly HookDefinition[] {
  return [
    defineAdapterHook({
      family: "hunyuan",
      variable: "LVSA_HUNYUAN_HOOK",
      packageName: "@lvsa/adapter-hunyuan",
      layer: "HunyuanVideo15Attention",
      about: "Sparse joint attention in HunyuanVideo 1.5.",
      details: withStep,
      create: "createHunyuanAdapter",
    }),
    defineAdapterHook({
      family: "wan",
      variable: "LVSA_WAN_HOOK",
      packageName: "@lvsa/adapter-wan",
      layer: "WanSelfAttention",
      about: "Sparse self attention in Wan 2.1 and 2.2.",
      details: withTokens,
      create: "createWanAdapter",
    }),
    defineAdapterHook({
      family: "cogvideox",
      variable: "LVSA_COGVIDEOX_HOOK",
      packageName: "@lvsa/adapter-cogvideox",
      layer: "CogVideoXAttention",
      about: "Sparse joint attention in CogVideoX.",
      details: withStep,
      create: "createCogVideoXAdapter",
    }),
    defineHook({
      family: "cosmos3",
      variable: "LVSA_COSMOS3_HOOK",
      packageName: "@lvsa/cosmos3-processor",
      layer: "Cosmos3CrossAttention",
      about: "Sparse attention in the generation stream of Cosmos 3.",
      details: withStep,
      target: (module, host) => {
        exported(module, "Cosmos3LvsaProcessor", { packageName: "@lvsa/cosmos3-processor" });
        return cosmos3Target(module as unknown as Cosmos3Package, host);
      },
    }),
  ];
}

/** A mismatch as the Wan hook of the Python plugin puts it; several processes do not exist here. */
function withTokens({ reason, details, sequenceLength }: FallbackEvent): FallbackEvent["details"] {
  if (reason !== "geometry_mismatch") return details;
  return { T_lat: details.T_lat ?? null, full_seq: sequenceLength, distributed: false };
}

/** A mismatch as its other hooks put it. */
function withStep({ reason, details, step = 0 }: FallbackEvent): FallbackEvent["details"] {
  return reason === "geometry_mismatch" ? { step, T_lat: details.T_lat ?? null } : details;
}
