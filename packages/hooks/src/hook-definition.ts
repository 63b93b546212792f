/** What a hook is: one model family, the variable that switches it on, and how its layers are taken over. */
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
  /** `LVSA_<NAME>_HOOK`, upper case. */
  readonly variable: string;
  /** What is installed with npm; the name in errors. */
  readonly packageName: string;
  /** Loads the package when the hook is on. Default: by its name, from where this package lies. */
  readonly load?: () => Promise<unknown>;
  /** Class of the layers in the Python host, for log lines. */
  readonly layer: string;
  /** A sentence for tables of variables. */
  readonly about?: string;
  /** How fallback lines put what was seen, where the Python plugin has a form of its own. */
  readonly details?: (event: FallbackEvent) => FallbackEvent["details"];
  /** `module` is what the package exports. */
  target(module: Readonly<Record<string, unknown>>, host: HookHost): HookTarget;
}

/** What the name of a hook's variable looks like. */
export const HOOK_VARIABLE = /^LVSA_[A-Z0-9_]+_HOOK$/;

/**
 * Checks a definition. `registerHook(defineHook({ … }))` makes it known to the process, `lvsaPlugin({ hooks: [defineHook({ … })] })` to
 * one plugin.
 *
 * @throws HookError `HOOK_VARIABLE` for a variable that is no `LVSA_<NAME>_HOOK`
 */
export function defineHook(definition: HookDefinition): HookDefinition {
  const { family, variable } = definition;
  if (HOOK_VARIABLE.test(variable)) return definition;
  throw new HookError(
    "HOOK_VARIABLE",
    `the hook of ${family} goes by ${variable}, which is no LVSA_<NAME>_HOOK`,
    {
      fix: `Name it LVSA_${family.toUpperCase().replace(/[^A-Z0-9]+/g, "_")}_HOOK.`,
    },
  );
}

/** A hook whose package exports `create…Adapter()`. @throws HookError as `defineHook` does */
export function defineAdapterHook(
  definition: Omit<HookDefinition, "target"> & { readonly create: string },
): HookDefinition {
  const { create, ...rest } = definition;
  return defineHook({
    ...rest,
    target: (module, host) => adapterTarget(exported<() => ModelAdapter>(module, create, rest)(), host),
  });
}

/** How packages are loaded, by family. Bundlers need literal names: `{ wan: () => import("@lvsa/adapter-wan") }`. */
export type PackageLoaders = Readonly<Record<string, () => Promise<unknown>>>;

/**
 * The package of a hook.
 * @throws HookError `ADAPTER_MISSING` with the line that installs it
 */
export async function loadPackage(
  { family, packageName, variable, load }: HookDefinition,
  loaders: PackageLoaders = {},
): Promise<Readonly<Record<string, unknown>>> {
  try {
    const chosen = loaders[family] ?? load ?? (() => import(/* @vite-ignore */ packageName));
    return (await chosen()) as Record<string, unknown>;
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

/** A function that a hook's package must export. @throws HookError `ADAPTER_UNFIT` when it does not */
export function exported<Value>(
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
