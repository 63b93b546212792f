/**
 * Routes every attention call of an engine: hooks see it first (in order), then the processor that claimed the
 * layer, then the dense path with the backend of the layer's role.
 */
import { ConfigError, HookError } from "@lvsa/runtime";
import type {
  AttentionBackend,
  AttentionCall,
  AttentionModule,
  AttentionProcessor,
  AttentionResult,
  AttentionRole,
  BackendCall,
} from "./attention-processor.js";
import { denseAttention, denseBackend } from "./dense-attention.js";

/** Which backend serves which role, by name. */
export interface AttentionConfig {
  readonly default?: string;
  readonly perRole?: Readonly<Record<AttentionRole, string>>;
}

/** Name of the built-in dense backend. */
export const DENSE_BACKEND = "DENSE";

export class AttentionDispatcher {
  readonly #backends = new Map<string, AttentionBackend>();
  readonly #claims = new Map<AttentionModule, { owner: string; processor: AttentionProcessor }>();
  readonly #hooks: { owner: string; order: number; hook: AttentionProcessor }[] = [];
  #config: AttentionConfig = {};

  constructor() {
    this.#backends.set(DENSE_BACKEND, { supportsCausal: true, run: (call) => denseBackend(call) });
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
    for (const name of [config.default, ...Object.values(config.perRole ?? {})]) {
      if (name !== undefined && !this.#backends.has(name)) throw this.#unknown(name);
    }
    const former = this.#config;
    this.#config = config;
    return undo(() => {
      this.#config = former;
    });
  }

  /** The backend a role gets, and where the choice comes from. */
  selection(role: AttentionRole): {
    readonly name: string;
    readonly source: "role" | "default" | "built-in";
  } {
    const byRole = this.#config.perRole?.[role];
    if (byRole !== undefined) return { name: byRole, source: "role" };
    if (this.#config.default !== undefined) return { name: this.#config.default, source: "default" };
    return { name: DENSE_BACKEND, source: "built-in" };
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
      if (!processor) return denseAttention(current, (backendCall) => this.runBackend(backendCall));
      return processor(current, (nextCall) => start(i + 1, nextCall));
    };
    // What projections and kernels leave behind goes back to the pool when the layer is done.
    return call.device.scope(() => ({ ...start(0, call) }));
  }

  /** Runs the backend of the call's role, after checking its constraints. */
  runBackend(call: BackendCall): ReturnType<AttentionBackend["run"]> {
    const { name, source } = this.selection(call.role);
    const backend = this.#backends.get(name);
    if (!backend) throw this.#unknown(name);
    const headDim = call.query.dim(-1);
    const wrong =
      backend.headDims && !backend.headDims.includes(headDim)
        ? `takes head sizes ${backend.headDims.join(", ")}, the layer has ${headDim}`
        : call.causal && !backend.supportsCausal
          ? "does not take causal layers"
          : undefined;
    if (wrong) {
      throw new ConfigError("BACKEND_UNFIT", `attention backend ${name} (chosen by ${source}) ${wrong}`, {
        where: call.module.name,
        fix: `Choose another backend for the role ${call.role} (known: ${this.backends.join(", ")}).`,
      });
    }
    return backend.run(call, denseBackend);
  }

  #unknown(name: string): ConfigError {
    return new ConfigError("UNKNOWN_BACKEND", `there is no attention backend named ${name}`, {
      fix: `Known backends: ${this.backends.join(", ")}.`,
    });
  }
}

function undo(action: () => void): Disposable {
  return { [Symbol.dispose]: action };
}
