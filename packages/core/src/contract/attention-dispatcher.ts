/**
 * Routes every attention call of an engine: hooks see it first (in order), then the processor that claimed the
 * layer, then the dense path with the backend of the layer's role.
 */
import { ConfigError, HookError, UsageError } from "@lvsa/runtime";
import { type AttentionConfig, type BackendChoice, choiceOf } from "./attention-config.js";
import type {
  AttentionBackend,
  AttentionCall,
  AttentionModule,
  AttentionProcessor,
  AttentionResult,
  AttentionRole,
  BackendCall,
  BackendExtra,
} from "./attention-processor.js";
import { denseAttention, denseBackend } from "./dense-attention.js";

/** The backend of a role, and where the choice comes from. */
export interface BackendSelection {
  readonly name: string;
  readonly source: "role" | "category" | "default" | "built-in";
  readonly extra?: BackendExtra;
}

/** Name of the built-in dense backend. */
export const DENSE_BACKEND = "DENSE";

export class AttentionDispatcher {
  readonly #backends = new Map<string, AttentionBackend>();
  readonly #claims = new Map<AttentionModule, { owner: string; processor: AttentionProcessor }>();
  readonly #hooks: { owner: string; order: number; hook: AttentionProcessor }[] = [];
  #config: AttentionConfig = {};

  constructor() {
    this.#backends.set(DENSE_BACKEND, {
      supportsCausal: true,
      supportsMask: true,
      run: (call) => denseBackend(call),
    });
  }

  /** Adds a backend. @throws HookError when the name is taken */
  registerBackend(name: string, backend: AttentionBackend): Disposable {
    if (this.#backends.has(name)) {
      throw new HookError("BACKEND_EXISTS", `an attention backend named ${name} is registered already`, {
        fix: "Dispose the first registration, or pick another name.",
      });
    }
    this.#backends.set(name, backend);
    return undo(() => {
      if (this.#backends.get(name) === backend) this.#backends.delete(name);
    });
  }

  get backends(): string[] {
    return [...this.#backends.keys()];
  }

  /** Picks backends by role. Restores the former choice on dispose. @throws ConfigError for an unknown name */
  configure(config: AttentionConfig): Disposable {
    for (const choice of [config.default, ...Object.values(config.perRole ?? {})]) {
      const backend = choiceOf(choice)?.backend;
      if (backend !== undefined && !this.#backends.has(backend)) throw this.#unknown(backend);
    }
    const former = this.#config;
    this.#config = config;
    return undo(() => {
      // Someone may have configured anew since.
      if (this.#config === config) this.#config = former;
    });
  }

  /** The backend that a layer gets: by its role, its category, the default, in this order. */
  selection(role: AttentionRole, category?: AttentionRole): BackendSelection {
    const { perRole, default: fallback } = this.#config;
    const byRole = choiceOf(perRole?.[role]);
    if (byRole) return selected(byRole, "role");
    const byCategory = category === undefined ? undefined : choiceOf(perRole?.[category]);
    if (byCategory) return selected(byCategory, "category");
    const byDefault = choiceOf(fallback);
    return byDefault ? selected(byDefault, "default") : { name: DENSE_BACKEND, source: "built-in" };
  }

  /** Puts `processor` in charge of a layer. @throws HookError naming both owners when the layer is taken */
  claim(module: AttentionModule, owner: string, processor: AttentionProcessor): Disposable {
    const taken = this.#claims.get(module);
    if (taken) {
      throw new HookError(
        "LAYER_CLAIMED",
        `both ${taken.owner} and ${owner} want the attention layer ${module.name}`,
        { fix: `Remove one of the two (dispose ${taken.owner} first).` },
      );
    }
    const claim = { owner, processor };
    this.#claims.set(module, claim);
    return undo(() => {
      if (this.#claims.get(module) === claim) this.#claims.delete(module);
    });
  }

  /** Who is in charge of a layer; undefined when nobody claimed it. */
  owner(module: AttentionModule): string | undefined {
    return this.#claims.get(module)?.owner;
  }

  /** Adds a pre-attention hook for all layers. Smaller `order` sees the call earlier; default 0. */
  addHook(owner: string, hook: AttentionProcessor, order = 0): Disposable {
    const entry = { owner, order, hook };
    this.#hooks.push(entry);
    this.#hooks.sort((a, b) => a.order - b.order);
    return undo(() => {
      const i = this.#hooks.indexOf(entry);
      if (i >= 0) this.#hooks.splice(i, 1);
    });
  }

  /** Computes one layer's attention. */
  run(call: AttentionCall): AttentionResult {
    const claim = this.#claims.get(call.module);
    const chain = this.#hooks.map((h) => h.hook);
    if (claim) chain.push(claim.processor);
    const start = (i: number, current: AttentionCall): AttentionResult => {
      const processor = chain[i];
      if (!processor) {
        const takesShards = current.shard ? { shard: true } : {};
        return denseAttention(current, (call) => this.runBackend(withMask(call, current), takesShards));
      }
      return processor(current, (nextCall) => start(i + 1, nextCall));
    };
    // What projections and kernels leave behind goes back to the pool when the layer is done.
    return call.device.scope(() => ({ ...start(0, call) }));
  }

  /**
   * Runs the backend of the call's role, after checking its constraints. `shard`: queries are those of one rank's frames, and
   * keys those of all, which only the built-in backend takes.
   * @throws ConfigError `BACKEND_UNFIT`
   */
  runBackend(call: BackendCall, { shard = false } = {}): ReturnType<AttentionBackend["run"]> {
    const { name, source, extra } = this.selection(call.role, call.module.category);
    const backend = this.#backends.get(name);
    if (!backend) throw this.#unknown(name);
    const wrong =
      shard && name !== DENSE_BACKEND ? "does not take a clip that ranks share" : misfit(backend, call);
    if (wrong) {
      throw new ConfigError("BACKEND_UNFIT", `attention backend ${name} (chosen by ${source}) ${wrong}`, {
        where: call.module.name,
        fix: `Choose another backend for the role ${call.role} (known: ${this.backends.join(", ")}).`,
      });
    }
    return backend.run(extra ? { ...call, extra } : call, denseBackend);
  }

  #unknown(name: string): ConfigError {
    return new UsageError("UNKNOWN_BACKEND", `there is no attention backend named ${name}`, {
      fix: `Known backends: ${this.backends.join(", ")}.`,
    });
  }
}

function undo(action: () => void): Disposable {
  return { [Symbol.dispose]: action };
}

function selected({ backend, extra }: BackendChoice, source: BackendSelection["source"]): BackendSelection {
  return { name: backend, source, ...(extra ? { extra } : {}) };
}

/** A mask of the layer's stream covers the keys that come from it; text keys are another tensor. */
function withMask(call: BackendCall, { keyMask }: AttentionCall): BackendCall {
  return keyMask && call.key.dim(1) === keyMask.length ? { ...call, keyMask } : call;
}

/** What the backend does not take of this call, if anything. */
function misfit(backend: AttentionBackend, call: BackendCall): string | undefined {
  const headDim = call.query.dim(-1);
  if (backend.headDims && !backend.headDims.includes(headDim)) {
    return `takes head sizes ${backend.headDims.join(", ")}, the layer has ${headDim}`;
  }
  if (call.causal && !backend.supportsCausal) return "does not take causal layers";
  if (call.keyMask && !backend.supportsMask) return "does not take masks";
  return undefined;
}
