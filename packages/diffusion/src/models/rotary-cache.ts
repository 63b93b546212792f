/** Keeps the rotary tables of a model between forward passes. */
import type { RotaryTables } from "@lvsa/core";
import type { Device } from "@lvsa/runtime";
import { type RotaryGrid, uploadRotary } from "./embeddings.js";

export class RotaryCache implements Disposable {
  readonly #device: Device;
  #kept: { key: string; change: unknown; tables: RotaryTables & Disposable } | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  /** The tables last built for this key and this `change` (compared by identity), or new ones from `build`. */
  tables(key: string, change: unknown, build: () => RotaryGrid): RotaryTables {
    if (this.#kept?.key === key && this.#kept.change === change) return this.#kept.tables;
    this[Symbol.dispose]();
    const tables = uploadRotary(this.#device, build());
    this.#kept = { key, change, tables };
    return tables;
  }

  [Symbol.dispose](): void {
    this.#kept?.tables[Symbol.dispose]();
    this.#kept = undefined;
  }
}
