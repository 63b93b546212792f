/** LVSA in an engine of one's own: its `GPUDevice`, its buffers, one call per attention layer. */
import {
  borrowTensor,
  checkOptionKinds,
  type Device,
  type FloatDType,
  type OptionKinds,
  type Tensor,
  wrapDevice,
} from "@lvsa/core";
import { defineHook, type HookDefinition } from "./hook-definition.js";
import { listHooks } from "./hook-list.js";
import type { ModelFacts } from "./lvsa-settings.js";
import { hookLog } from "./plugin.js";
import { HOOKS_KINDS, type HooksOptions, resolveHooks } from "./resolve-hooks.js";
import { SparseAttention, type SparseAttentionCall } from "./sparse-attention.js";

export interface ForeignHookOptions extends HooksOptions {
  /** Stays the host's. */
  readonly gpu: GPUDevice;
  /** `wan` listens to `LVSA_WAN_HOOK`, `mymodel` to `LVSA_MYMODEL_HOOK`. */
  readonly family: string;
  /** What no adapter can tell of an unknown model. */
  readonly model: ModelFacts;
}

const FOREIGN_KINDS: OptionKinds<ForeignHookOptions> = {
  ...HOOKS_KINDS,
  ...{ gpu: "object", family: "string", model: "object" },
};

/** A tensor in a buffer of the host, row-major. The buffer needs the usage STORAGE. */
export interface ForeignTensor {
  readonly buffer: GPUBuffer;
  readonly shape: readonly number[];
  /** Default f32. */
  readonly dtype?: FloatDType;
  /** Default 0; a multiple of 4. */
  readonly byteOffset?: number;
}

/** As `SparseAttentionCall`, in buffers of the host. */
export interface ForeignCall
  extends Omit<SparseAttentionCall, "query" | "key" | "value" | "contextKey" | "contextValue"> {
  /** `[1, S, H, D]`, rotated. */
  readonly query: ForeignTensor;
  /** `[1, S, Hkv, D]` */
  readonly key: ForeignTensor;
  readonly value: ForeignTensor;
  /** `[1, Lc, Hkv, D]` */
  readonly contextKey?: ForeignTensor;
  readonly contextValue?: ForeignTensor;
  /** `[1, S, H, D]`, written; usage COPY_DST. */
  readonly output: ForeignTensor;
}

export interface ForeignHook extends Disposable {
  /**
   * Computes a layer's attention, or says false: then the host computes it as it always did. Reads what the host
   * submitted before, and has submitted its own work when it returns: command buffers that the host submits
   * afterwards see the output.
   */
  attend(call: ForeignCall): boolean;
  /** The next call begins a new generation. Only for hosts whose calls carry no `step`. */
  restart(): void;
  /** Bytes on the GPU that the hook holds. */
  memory(): number;
}

/**
 * The hook of a family, or undefined where its variable is off.
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind; ConfigError for bad settings
 */
export function createForeignHook(options: ForeignHookOptions): ForeignHook | undefined {
  checkOptionKinds(FOREIGN_KINDS, options, "createForeignHook");
  const { gpu, family, model, ...given } = options;
  const definition = definitionOf(family, given.hooks);
  const resolved = resolveHooks({ ...given, hooks: [...(given.hooks ?? []), definition] });
  // A host without a logger of its own: lines must not end up in what it writes to its standard output.
  const log = hookLog(resolved, (line) => console.error(line));
  if (!resolved.on.some((hook) => hook.family === family)) return undefined;
  const { settings } = resolved;
  const attention = new SparseAttention({
    family,
    origin: `${family}_hook`,
    settings,
    model,
    log,
    counter: "hook",
    ...(definition.details ? { details: definition.details } : {}),
  });
  log.emit({
    type: "installed",
    family,
    layer: definition.layer,
    blocks: undefined,
    totalLatentFrames: settings.totalLatentFrames,
    sparsityScale: settings.sparsityScale ?? 1,
  });
  const device = wrapDevice(gpu);
  return {
    attend: (call) => attend(device, attention, call),
    restart: () => attention.restart(),
    memory: () => device.memory().liveBytes,
    [Symbol.dispose]: () => {
      attention.dispose();
      device.dispose();
    },
  };
}

function definitionOf(family: string, hooks: readonly HookDefinition[] = []): HookDefinition {
  const known = [...hooks, ...listHooks()].find((hook) => hook.family === family);
  return (
    known ??
    defineHook({
      family,
      variable: `LVSA_${family.toUpperCase().replace(/[^A-Z0-9]+/g, "_")}_HOOK`,
      packageName: "",
      layer: family,
      target: () => {
        throw new Error(`${family} has no package`);
      },
    })
  );
}

function attend(device: Device, attention: SparseAttention, given: ForeignCall): boolean {
  const { query, key, value, contextKey, contextValue, output, ...rest } = given;
  const done = device.scope(() => {
    const context =
      contextKey && contextValue
        ? { contextKey: borrow(contextKey), contextValue: borrow(contextValue) }
        : {};
    const streams = { query: borrow(query), key: borrow(key), value: borrow(value) };
    const result = attention.attend(device, { ...rest, ...streams, ...context });
    if (result) device.copyBytes(result, borrow(output));
    return result;
  });
  if (!done) return false;
  done.dispose();
  device.submit();
  return true;
}

function borrow({ buffer, shape, dtype = "f32", byteOffset = 0 }: ForeignTensor): Tensor {
  return borrowTensor(buffer, shape, dtype, byteOffset);
}
