/** Strings by their prefixes: which of many begin at a place of a text, found in one walk over it. */

/** Room for edges, as a power of two; it is filled to one half. */
const FIRST_CAPACITY = 1 << 12;

/**
 * Edges lie in one open hash table, from a node and a UTF-16 unit to the next node: a vocabulary of 256,000 pieces
 * is a few arrays of numbers, not a million small objects.
 */
export class TextTrie {
  #nodes = 1;
  #edges = 0;
  #from = new Int32Array(FIRST_CAPACITY);
  #unit = new Uint16Array(FIRST_CAPACITY);
  #to = new Int32Array(FIRST_CAPACITY);
  /** Value + 1 by node; 0 where no string ends. */
  #values = new Int32Array(FIRST_CAPACITY);

  /** `value` is at least 0. A later value of the same text wins. */
  set(text: string, value: number): void {
    let node = 0;
    for (let i = 0; i < text.length; i++) node = this.#child(node, text.charCodeAt(i), true);
    this.#values[node] = value + 1;
  }

  /** Calls `found` with the end and the value of every string that stands at `start`, shortest first. */
  match(text: string, start: number, found: (end: number, value: number) => void): void {
    let node = 0;
    for (let at = start; at < text.length; at++) {
      node = this.#child(node, text.charCodeAt(at), false);
      if (node < 0) return;
      const value = this.#values[node]!;
      if (value > 0) found(at + 1, value - 1);
    }
  }

  /** End and value of the longest string that stands at `start`. */
  longest(text: string, start: number): { readonly end: number; readonly value: number } | undefined {
    let longest: { readonly end: number; readonly value: number } | undefined;
    this.match(text, start, (end, value) => {
      longest = { end, value };
    });
    return longest;
  }

  #child(node: number, unit: number, add: boolean): number {
    if (add && this.#edges * 2 >= this.#to.length) this.#grow();
    const slot = this.#slot(node, unit);
    if (this.#to[slot] !== 0) return this.#to[slot]!;
    if (!add) return -1;
    const child = this.#nodes++;
    this.#edges++;
    this.#from[slot] = node;
    this.#unit[slot] = unit;
    this.#to[slot] = child;
    return child;
  }

  /** Where the edge lies, or would. The root is nobody's child, so that 0 marks a free place. */
  #slot(node: number, unit: number): number {
    const mask = this.#to.length - 1;
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & mask;
    while (this.#to[slot] !== 0 && (this.#from[slot] !== node || this.#unit[slot] !== unit))
      slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [from, unit, to] = [this.#from, this.#unit, this.#to];
    const capacity = to.length * 2;
    this.#from = new Int32Array(capacity);
    this.#unit = new Uint16Array(capacity);
    this.#to = new Int32Array(capacity);
    const values = new Int32Array(capacity);
    values.set(this.#values);
    this.#values = values;
    for (let i = 0; i < to.length; i++) {
      if (to[i] === 0) continue;
      const slot = this.#slot(from[i]!, unit[i]!);
      this.#from[slot] = from[i]!;
      this.#unit[slot] = unit[i]!;
      this.#to[slot] = to[i]!;
    }
  }
}

/** Whether a match may end at `at`: not between the two halves of a surrogate pair. */
export function isBoundary(text: string, at: number): boolean {
  const low = text.charCodeAt(at);
  if (!(low >= 0xdc00 && low <= 0xdfff)) return true;
  const high = text.charCodeAt(at - 1);
  return !(high >= 0xd800 && high <= 0xdbff);
}
