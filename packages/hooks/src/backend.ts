/** Attention backend `LVSA`: sparse on finished Q, K, V, chosen by role in the engine's attention config. */
import type { AttentionDispatcher, BackendCall, BackendExtra, BackendRunner } from "@lvsa/core";
import { ConfigError, type Tensor, UsageError } from "@lvsa/core";
import { type HookSettings, hookSettingsSchema } from "./env-schema.js";
import { type HookHost, loadPackage } from "./hook-definition.js";
import type { HookLog } from "./hook-events.js";
import type { ModelFacts } from "./lvsa-settings.js";
import type { ResolvedHooks } from "./resolve-hooks.js";
import { SparseAttention } from "./sparse-attention.js";

export const BACKEND_NAME = "LVSA";

/** In fallback lines, as in the Python plugin. */
const ORIGIN = "forward_cuda";

/** The part of an engine that the backend needs. */
export interface BackendHost {
  readonly attention: AttentionDispatcher;
  readonly pipeline: HookHost & { readonly family: string };
}

export interface BackendOptions {
  /** The hook of the model, on or not, tells training length and defaults. */
  readonly resolved: ResolvedHooks;
  readonly log: HookLog;
}

/**
 * Registers the backend. Nothing changes until an attention config names it. Calls that it does not take (cross
 * attention, other lengths, masks, causal layers) run dense, with a reason.
 */
export async function registerLvsaBackend(host: BackendHost, options: BackendOptions): Promise<Disposable> {
  const backend = new LvsaBackend(host.pipeline.family, options, await modelFacts(host.pipeline, options));
  const registration = host.attention.registerBackend(BACKEND_NAME, {
    // The kernel takes every head size that dense attention takes; what it does not take runs dense.
    supportsCausal: true,
    supportsMask: true,
    run: (call, dense) => backend.run(call, dense),
  });
  return {
    [Symbol.dispose]: () => {
      registration[Symbol.dispose]();
      backend.dispose();
    },
  };
}

/** What the model's package says; an error is kept until somebody uses the backend. */
async function modelFacts(
  pipeline: BackendHost["pipeline"],
  { resolved }: BackendOptions,
): Promise<ModelFacts | Error> {
  const { settings } = resolved;
  const hook = resolved.hookOf(pipeline.family);
  const { temporalFactor } = pipeline.geometry;
  try {
    if (hook) return hook.target(await loadPackage(hook, resolved.options.packages), pipeline);
    const { referenceLatentFrames } = settings;
    if (referenceLatentFrames !== undefined) return { referenceLatentFrames, temporalFactor };
    return new ConfigError("NO_REFERENCE_FRAMES", "nobody knows the training length of this model", {
      fix: "Set LVSA_REFERENCE_LATENT_FRAMES.",
    });
  } catch (error) {
    return error as Error;
  }
}

class LvsaBackend {
  readonly #family: string;
  readonly #options: BackendOptions;
  readonly #model: ModelFacts | Error;
  /** One per role and its settings: the layers of a role share clip and pattern. */
  readonly #attention = new Map<string, SparseAttention>();

  constructor(family: string, options: BackendOptions, model: ModelFacts | Error) {
    this.#family = family;
    this.#options = options;
    this.#model = model;
  }

  run(call: BackendCall, dense: BackendRunner): Tensor {
    // Text that is looked at from outside has no frames.
    if (call.role === "cross") return dense(call);
    const { device, module, query, key, value, contextKey, contextValue, scale, causal } = call;
    const result = this.#of(call).attend(device, {
      layer: module,
      query,
      key,
      value,
      scale,
      causal,
      ...(contextKey && contextValue ? { contextKey, contextValue } : {}),
      ...(call.keyMask ? { keyMask: call.keyMask } : {}),
      ...(call.geometry ? { geometry: call.geometry } : {}),
      ...(call.step ? { step: call.step } : {}),
    });
    return result ?? dense(call);
  }

  dispose(): void {
    for (const attention of this.#attention.values()) attention.dispose();
    this.#attention.clear();
  }

  #of({ role, extra }: BackendCall): SparseAttention {
    const key = `${role} ${JSON.stringify(extra ?? {})}`;
    const known = this.#attention.get(key);
    if (known) return known;
    if (this.#model instanceof Error) throw this.#model;
    const attention = new SparseAttention({
      family: this.#family,
      origin: ORIGIN,
      settings: { ...this.#options.resolved.settings, ...extraSettings(role, extra) },
      model: this.#model,
      log: this.#options.log,
      counter: "backend",
    });
    this.#attention.set(key, attention);
    return attention;
  }
}

/** Settings of one role, in camel or snake case. @throws ConfigError `INVALID_OPTION` that names the role */
function extraSettings(role: string, extra: BackendExtra = {}): HookSettings {
  const camel = Object.fromEntries(
    Object.entries(extra).map(([name, value]) => [
      name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase()),
      value,
    ]),
  );
  const parsed = hookSettingsSchema.safeParse(camel);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join(".") || "extra"}: ${message}`);
  throw new UsageError(
    "INVALID_OPTION",
    `Bad settings of the backend LVSA for the role ${role}. ${problems.join("; ")}.`,
  );
}
