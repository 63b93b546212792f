/** The hooks that exist, one per model family: which variable, which package, which layers. */
import {
  type AttentionTarget,
  checkFamily,
  type FallbackEvent,
  HookError,
  type HostGeometry,
  type Installation,
  type InstallLvsaOptions,
  installLvsa,
  type ModelAdapter,
} from "@lvsa/core";
import { type Cosmos3Package, cosmos3Target } from "./cosmos3-hook.js";
import type { ModelFacts } from "./lvsa-settings.js";

/** What a hook knows about the model at hand, and how it takes its layers over. */
export interface HookTarget extends ModelFacts {
  install(options: InstallLvsaOptions): Installation;
}

/** The part of a pipeline that hooks need. */
export interface HookHost {
  readonly transformers: readonly AttentionTarget[];
  readonly geometry: HostGeometry & { readonly temporalFactor: number };
}

export interface HookDefinition {
  /** As the pipeline names it, e.g. `wan`. */
  readonly family: string;
  /** `LVSA_WAN_HOOK` */
  readonly variable: string;
  /** Loaded when the hook is on. */
  readonly packageName: string;
  /** Class of the layers in the Python host, for log lines. */
  readonly layer: string;
  /** How fallback lines put what was seen, where the Python plugin has a form of its own. */
  readonly details?: (event: FallbackEvent) => FallbackEvent["details"];
  /** `module` is what the package exports. */
  target(module: Readonly<Record<string, unknown>>, host: HookHost): HookTarget;
}

/** Type-checks a definition; `lvsaPlugin({ hooks: [defineHook({ … })] })` adds it to those listed here. */
export function defineHook(definition: HookDefinition): HookDefinition {
  return definition;
}

/** A hook whose package exports `create…Adapter()`. */
export function defineAdapterHook(
  definition: Omit<HookDefinition, "target"> & { readonly create: string },
): HookDefinition {
  const { create, ...rest } = definition;
  return defineHook({
    ...rest,
    target: (module, host) => adapterTarget(exported<() => ModelAdapter>(module, create, rest)(), host),
  });
}

/** In the order in which the Python plugin installs them. */
export function listHooks(): readonly HookDefinition[] {
  return [
    defineAdapterHook({
      family: "hunyuan",
      variable: "LVSA_HUNYUAN_HOOK",
      packageName: "@lvsa/adapter-hunyuan",
      layer: "HunyuanVideo15Attention",
      details: withStep,
      create: "createHunyuanAdapter",
    }),
    defineAdapterHook({
      family: "wan",
      variable: "LVSA_WAN_HOOK",
      packageName: "@lvsa/adapter-wan",
      layer: "WanSelfAttention",
      details: withTokens,
      create: "createWanAdapter",
    }),
    defineAdapterHook({
      family: "cogvideox",
      variable: "LVSA_COGVIDEOX_HOOK",
      packageName: "@lvsa/adapter-cogvideox",
      layer: "CogVideoXAttention",
      details: withStep,
      create: "createCogVideoXAdapter",
    }),
    defineHook({
      family: "cosmos3",
      variable: "LVSA_COSMOS3_HOOK",
      packageName: "@lvsa/cosmos3-processor",
      layer: "Cosmos3CrossAttention",
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

/** How packages are loaded. Bundlers need literal names: `{ wan: () => import("@lvsa/adapter-wan") }`. */
export type PackageLoaders = Readonly<Record<string, () => Promise<unknown>>>;

/**
 * The package of a hook.
 * @throws HookError `ADAPTER_MISSING` with the line that installs it
 */
export async function loadPackage(
  { family, packageName, variable }: HookDefinition,
  loaders: PackageLoaders = {},
): Promise<Readonly<Record<string, unknown>>> {
  try {
    const load = loaders[family] ?? (() => import(/* @vite-ignore */ packageName));
    return (await load()) as Record<string, unknown>;
  } catch (cause) {
    throw new HookError("ADAPTER_MISSING", `${variable} is on, and ${packageName} does not load`, {
      fix: `npm install ${packageName}`,
      cause,
    });
  }
}

/** A family's hook from its adapter. @throws HookError `ADAPTER_FAMILY` when the host's models are of another family */
export function adapterTarget(adapter: ModelAdapter, host: HookHost): HookTarget {
  const { geometry, transformers } = host;
  checkFamily(adapter.family, transformers);
  return {
    referenceLatentFrames: adapter.referenceLatentFrames(geometry),
    temporalFactor: geometry.temporalFactor,
    defaults: adapter.defaults,
    install: (options) => installLvsa(host, adapter, options),
  };
}

function exported<Value>(
  module: Readonly<Record<string, unknown>>,
  name: string,
  { packageName }: { readonly packageName: string },
): Value {
  const value = module[name];
  if (typeof value === "function") return value as Value;
  throw new HookError("ADAPTER_UNFIT", `${packageName} exports no function ${name}`, {
    fix: `Install the version of ${packageName} that belongs to this one of @lvsa/hooks.`,
  });
}
