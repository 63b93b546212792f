/** Pixels and the names of their colours. RGB from 0 to 1; frames are bytes. */
import type { Rgb } from "./world.js";

/** Between a pixel and a colour. */
export function squaredDistance(frame: Uint8Array, index: number, rgb: Rgb): number {
  const at = index * 3;
  return (
    (frame[at]! / 255 - rgb[0]) ** 2 +
    (frame[at + 1]! / 255 - rgb[1]) ** 2 +
    (frame[at + 2]! / 255 - rgb[2]) ** 2
  );
}

/** The nearest mixture of two colours to a pixel: the second one's share, and how far the pixel lies beside it. */
export function mixture(
  frame: Uint8Array,
  index: number,
  from: Rgb,
  to: Rgb,
): { share: number; beside: number } {
  const [dr, dg, db] = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
  const at = index * 3;
  const [r, g, b] = [
    frame[at]! / 255 - from[0],
    frame[at + 1]! / 255 - from[1],
    frame[at + 2]! / 255 - from[2],
  ];
  const share = Math.min(1, Math.max(0, (r * dr + g * dg + b * db) / (dr * dr + dg * dg + db * db)));
  return { share, beside: Math.hypot(r - share * dr, g - share * dg, b - share * db) };
}

/** Counts pixels by the nearest of some named colours, and knows the middle of what bears a name. */
export class ColorVotes<Name extends string> {
  readonly #names: readonly Name[];
  readonly #colors: readonly Rgb[];
  readonly #counts: Uint32Array;
  /** By name, channel and value. */
  readonly #histograms: readonly Uint32Array[];

  constructor(names: readonly Name[], table: Readonly<Record<Name, Rgb>>) {
    this.#names = names;
    this.#colors = names.map((name) => table[name]);
    this.#counts = new Uint32Array(names.length);
    this.#histograms = names.map(() => new Uint32Array(3 * 256));
  }

  add(frame: Uint8Array, index: number): void {
    let best = 0;
    let bestDistance = Number.POSITIVE_INFINITY;
    for (let name = 0; name < this.#colors.length; name++) {
      const distance = squaredDistance(frame, index, this.#colors[name]!);
      if (distance < bestDistance) [best, bestDistance] = [name, distance];
    }
    this.#counts[best]!++;
    const histogram = this.#histograms[best]!;
    for (let channel = 0; channel < 3; channel++) histogram[256 * channel + frame[index * 3 + channel]!]!++;
  }

  count(name: Name): number {
    return this.#counts[this.#names.indexOf(name)]!;
  }

  /** Names, most frequent first. */
  ranking(): Name[] {
    return [...this.#names].sort((a, b) => this.count(b) - this.count(a));
  }

  /** Median of each channel. */
  middle(name: Name): Rgb {
    const histogram = this.#histograms[this.#names.indexOf(name)]!;
    const half = this.count(name) / 2;
    const of = (channel: number) => {
      let seen = 0;
      for (let value = 0; value < 256; value++) {
        seen += histogram[256 * channel + value]!;
        if (seen > half || (seen === half && half > 0)) return value / 255;
      }
      return 0;
    };
    return [of(0), of(1), of(2)];
  }
}
