/** Things that one piece of work made and frees together, on every way out. */
import type { Tensor } from "@lvsa/runtime";

/** With `using`: what was added is freed when the block ends, newest first. What is freed already is left alone. */
export class Owned implements Disposable {
  #things: (Tensor | Disposable)[] = [];

  add<T extends Tensor | Disposable>(thing: T): T {
    this.#things.push(thing);
    return thing;
  }

  [Symbol.dispose](): void {
    for (const thing of this.#things.splice(0).reverse()) thing[Symbol.dispose]();
  }
}
