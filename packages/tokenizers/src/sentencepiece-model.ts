/** Reads SentencePiece's `ModelProto` (protobuf wire format), as far as encoding needs it. */
import type { ConfigError } from "@lvsa/runtime/errors";
import { invalidTokenizer, MAX_TOKEN_LENGTH } from "./limits.js";

export type PieceType = "normal" | "unknown" | "control" | "userDefined" | "unused" | "byte";

export interface SentencePiece {
  readonly piece: string;
  /** Log-probability, float32. */
  readonly score: number;
  readonly type: PieceType;
}

export interface SentencePieceModel {
  readonly pieces: readonly SentencePiece[];
  readonly modelType: "unigram" | "bpe" | "word" | "char";
  readonly byteFallback: boolean;
  readonly treatWhitespaceAsSuffix: boolean;
  /** Empty where the model keeps all characters as they are. */
  readonly charsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

const PIECE_TYPES: readonly PieceType[] = [
  "normal",
  "normal",
  "unknown",
  "control",
  "userDefined",
  "unused",
  "byte",
];
const MODEL_TYPES = ["unigram", "unigram", "bpe", "word", "char"] as const;

/** Throws `ConfigError` for data that is cut off or not a model. */
export function parseSentencePieceModel(data: Uint8Array): SentencePieceModel {
  const text = new TextDecoder("utf-8", { ignoreBOM: true });
  const pieces: SentencePiece[] = [];
  let trainer = new Map<number, FieldValue>();
  let normalizer = new Map<number, FieldValue>();
  for (const [field, value] of fields(data)) {
    if (!(value instanceof Uint8Array)) continue;
    if (field === 1) {
      const piece = new Map(fields(value));
      const content = piece.get(1);
      const score = piece.get(2);
      if (!(content instanceof Uint8Array) || content.length === 0)
        throw invalid(`piece ${pieces.length} has no text`);
      if (content.length > MAX_TOKEN_LENGTH)
        throw invalid(`piece ${pieces.length} has ${content.length} bytes; the limit is ${MAX_TOKEN_LENGTH}`);
      pieces.push({
        piece: text.decode(content),
        score: scoreOf(score, pieces.length),
        type: PIECE_TYPES[Number(piece.get(3) ?? 1)] ?? "normal",
      });
    } else if (field === 2) trainer = new Map(fields(value));
    else if (field === 3) normalizer = new Map(fields(value));
  }
  if (pieces.length === 0) throw invalid("the model has no pieces");
  const charsmap = normalizer.get(2);
  return {
    pieces,
    modelType: MODEL_TYPES[Number(trainer.get(3) ?? 1)] ?? "unigram",
    byteFallback: trainer.get(35) === 1,
    treatWhitespaceAsSuffix: trainer.get(24) === 1,
    charsmap: charsmap instanceof Uint8Array ? charsmap : new Uint8Array(),
    addDummyPrefix: normalizer.get(3) !== 0,
    removeExtraWhitespaces: normalizer.get(4) !== 0,
    escapeWhitespaces: normalizer.get(5) !== 0,
  };
}

function scoreOf(value: FieldValue | undefined, piece: number): number {
  if (value === undefined) return 0;
  if (!(value instanceof Uint8Array) || value.length !== 4)
    throw invalid(`the score of piece ${piece} is no float32`);
  const score = new DataView(value.buffer, value.byteOffset, 4).getFloat32(0, true);
  if (!Number.isFinite(score)) throw invalid(`the score of piece ${piece} is ${score}`);
  return score;
}

/** Varints as numbers, all else as bytes. */
type FieldValue = number | Uint8Array;

/** The fields of one protobuf message, in file order. */
function* fields(data: Uint8Array): Generator<[field: number, value: FieldValue]> {
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = data[position++];
      if (byte === undefined) throw invalid("the file ends in the middle of a number");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw invalid("a number is longer than ten bytes");
  };
  const take = (length: number): Uint8Array => {
    if (position + length > data.length)
      throw invalid(`a field of ${length} bytes starts ${data.length - position} bytes before the end`);
    position += length;
    return data.subarray(position - length, position);
  };
  while (position < data.length) {
    const key = varint();
    const field = Math.floor(key / 8);
    switch (key % 8) {
      case 0:
        yield [field, varint()];
        break;
      case 1:
        yield [field, take(8)];
        break;
      case 2:
        yield [field, take(varint())];
        break;
      case 5:
        yield [field, take(4)];
        break;
      default:
        throw invalid(`wire type ${key % 8}`);
    }
  }
}

function invalid(message: string): ConfigError {
  return invalidTokenizer(`not a SentencePiece model: ${message}`, "spiece.model");
}
