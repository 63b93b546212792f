/**
 * SentencePiece's `precompiled_charsmap`: the trie size in bytes (uint32), a double-array trie over UTF-8
 * prefixes (uint32 units, little endian), then the replacements as zero-terminated UTF-8 strings.
 */
import { ConfigError } from "@lvsa/runtime/errors";

/** Bytes; the longest in Unicode, of U+FDFA, has 33. */
const MAX_REPLACEMENT = 256;

export interface CharsmapMatch {
  /** UTF-8 bytes of the text that are replaced. */
  readonly length: number;
  readonly replacement: string;
}

export class PrecompiledCharsmap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** Throws `ConfigError` for data that is cut off. */
  constructor(data: Uint8Array) {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const trieBytes = data.byteLength >= 4 ? view.getUint32(0, true) : Number.NaN;
    if (!(trieBytes >= 4 && trieBytes % 4 === 0 && 4 + trieBytes <= data.byteLength))
      throw new ConfigError(
        "CHARSMAP_INVALID",
        `precompiled_charsmap has ${data.byteLength} bytes and a trie of ${trieBytes}`,
        { where: "precompiled_charsmap", fix: "Download the tokenizer again." },
      );
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = data.subarray(4 + trieBytes);
  }

  /** Matches at `from`, shortest first. `bytes` is UTF-8; a zero byte ends the search. */
  matches(bytes: Uint8Array, from: number, to: number): CharsmapMatch[] {
    const found: CharsmapMatch[] = [];
    const units = this.#units;
    let node = offsetOf(units[0]!);
    for (let i = from; i < to; i++) {
      const byte = bytes[i]!;
      if (byte === 0) break;
      node ^= byte;
      const unit = units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
      node ^= offsetOf(unit);
      if (unit & 0x100) {
        const leaf = units[node];
        if (leaf === undefined) break;
        found.push({ length: i + 1 - from, replacement: this.#replacement(leaf & 0x7fffffff) });
      }
    }
    return found;
  }

  /**
   * As the `Precompiled` normaliser of Hugging Face's tokenizers: it looks at whole graphemes of up to five
   * bytes first, then at single characters, and takes the shortest match, not the longest.
   */
  normalizeGraphemes(text: string): string {
    const encoder = new TextEncoder();
    const transform = (part: string): string | undefined => {
      const bytes = encoder.encode(part);
      return this.matches(bytes, 0, bytes.length)[0]?.replacement;
    };
    let out = "";
    for (const { segment } of new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text)) {
      const whole = encoder.encode(segment).length < 6 ? transform(segment) : undefined;
      if (whole !== undefined) out += whole;
      else for (const character of segment) out += transform(character) ?? character;
    }
    return out;
  }

  #replacement(start: number): string {
    const end = this.#replacements.indexOf(0, start);
    const bytes = this.#replacements.subarray(start, end < 0 ? undefined : end);
    if (bytes.length > MAX_REPLACEMENT)
      throw new ConfigError("CHARSMAP_INVALID", `a replacement of ${bytes.length} bytes`, {
        where: "precompiled_charsmap",
        fix: "Download the tokenizer again.",
      });
    return this.#decoder.decode(bytes);
  }
}

/** Distance to the children of a unit. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
