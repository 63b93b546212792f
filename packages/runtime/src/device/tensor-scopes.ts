/** Who frees which tensor: scopes own what is made in them, except what they return. */
import { Tensor } from "../tensor/tensor.js";

/** What a scope may hand out: tensors, or plain arrays and objects of them. */
export type ScopeResult =
  | Tensor
  | undefined
  | null
  | readonly ScopeResult[]
  | { readonly [name: string]: ScopeResult };

export class TensorScopes {
  readonly #scopes: Set<Tensor>[] = [];

  /** The innermost scope owns it from here on; outside of scopes the caller does. */
  add(tensor: Tensor): void {
    this.#scopes.at(-1)?.add(tensor);
  }

  /** No scope owns it any more. */
  forget(tensor: Tensor): void {
    for (const scope of this.#scopes) scope.delete(tensor);
  }

  /** Frees what `body` made, except what it returns: that moves to the scope around it. */
  // biome-ignore lint/suspicious/noConfusingVoidType: bodies that return nothing are common
  run<T extends ScopeResult | void>(body: () => T): T {
    const made = new Set<Tensor>();
    this.#scopes.push(made);
    try {
      const result = body();
      const outer = this.#scopes.at(-2);
      for (const kept of tensorsIn(result as ScopeResult)) if (made.delete(kept)) outer?.add(kept);
      return result;
    } finally {
      this.#scopes.pop();
      for (const tensor of made) tensor.dispose();
    }
  }
}

/** Disposes the tensors in `value`, alone or in plain arrays and objects, except those that `kept` names too. */
export function disposeTensors(value: ScopeResult, kept?: ScopeResult): void {
  const spared = new Set(tensorsIn(kept));
  for (const tensor of tensorsIn(value)) if (!spared.has(tensor)) tensor.dispose();
}

function* tensorsIn(value: ScopeResult): Iterable<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (Array.isArray(value)) for (const item of value as readonly ScopeResult[]) yield* tensorsIn(item);
  else if (value && typeof value === "object") {
    for (const item of Object.values(value as Record<string, ScopeResult>)) yield* tensorsIn(item);
  }
}
