/** Unigram language model (Kudo 2018): the segmentation into pieces with the highest sum of log-probabilities. */
import { ConfigError, quoted } from "@lvsa/runtime/errors";
import { isBoundary, TextTrie } from "./text-trie.js";

export interface UnigramOptions {
  /** Pieces that text may be cut into, with their log-probabilities. */
  readonly pieces: ReadonlyMap<string, { readonly id: number; readonly score: number }>;
  readonly unknownId: number | undefined;
  /** Score of a character that is no piece. */
  readonly unknownScore: number;
  /** Ids of the 256 byte pieces, for characters that are no piece. */
  readonly byteIds?: readonly number[] | undefined;
  /** Scores are summed in float32, as SentencePiece does; else in float64. */
  readonly float32?: boolean;
}

export class UnigramModel {
  readonly #options: UnigramOptions;
  readonly #trie = new TextTrie();
  /** By the values of the trie. */
  readonly #pieces: readonly { readonly id: number; readonly score: number }[];

  constructor(options: UnigramOptions) {
    this.#options = options;
    this.#pieces = [...options.pieces.values()];
    let index = 0;
    for (const piece of options.pieces.keys()) this.#trie.set(piece, index++);
  }

  /** Ids of the best segmentation. Neighbouring unknown characters give one unknown id, or their bytes. */
  encode(text: string): number[] {
    const { unknownScore } = this.#options;
    const round = this.#options.float32 === true ? Math.fround : (x: number) => x;
    const size = text.length;
    // For every end of a piece: score of the best path up to there, where its last piece starts, and its id.
    const best = new Float64Array(size + 1);
    const from = new Int32Array(size + 1).fill(-1);
    const id = new Int32Array(size + 1);
    const offer = (start: number, end: number, score: number, piece: number) => {
      const total = round(best[start]! + score);
      if (from[end]! >= 0 && total <= best[end]!) return;
      best[end] = total;
      from[end] = start;
      id[end] = piece;
    };
    for (let start = 0; start < size; ) {
      const next = start + characterLength(text, start);
      let single = false;
      this.#trie.match(text, start, (end, index) => {
        if (!isBoundary(text, end)) return;
        const piece = this.#pieces[index]!;
        offer(start, end, piece.score, piece.id);
        if (end === next) single = true;
      });
      if (!single) offer(start, next, unknownScore, -1);
      start = next;
    }
    const path: (readonly [number, number, number])[] = [];
    for (let end = size; end > 0; end = from[end]!) path.push([from[end]!, end, id[end]!]);
    return this.#toIds(text, path.reverse());
  }

  #toIds(text: string, path: readonly (readonly [start: number, end: number, id: number])[]): number[] {
    const ids: number[] = [];
    for (let i = 0; i < path.length; ) {
      const [start, , id] = path[i++]!;
      if (id >= 0) {
        ids.push(id);
        continue;
      }
      while (i < path.length && path[i]![2] < 0) i++;
      // Not all at once: a call takes no more than some 100,000 arguments.
      for (const unknown of this.#unknown(text.slice(start, path[i - 1]![1]))) ids.push(unknown);
    }
    return ids;
  }

  #unknown(characters: string): number[] {
    const { byteIds, unknownId } = this.#options;
    if (byteIds) return Array.from(new TextEncoder().encode(characters), (byte) => byteIds[byte]!);
    if (unknownId === undefined)
      throw new ConfigError(
        "TOKENIZER_WITHOUT_UNKNOWN",
        `no piece for ${quoted(characters)} and no unknown token`,
        {
          fix: "Use the tokenizer that the checkpoint was published with.",
        },
      );
    return [unknownId];
  }
}

/** Ids of `<0x00>` to `<0xFF>`, or undefined where one is missing. */
export function bytePieceIds(find: (piece: string) => number | undefined): number[] | undefined {
  const ids: number[] = [];
  for (let byte = 0; byte < 256; byte++) {
    const id = find(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

function characterLength(text: string, at: number): number {
  const high = text.charCodeAt(at);
  if (high < 0xd800 || high > 0xdbff) return 1;
  const low = text.charCodeAt(at + 1);
  return low >= 0xdc00 && low <= 0xdfff ? 2 : 1;
}
