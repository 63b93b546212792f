/**
 * The header of a GGUF file: counts, metadata, and where each tensor lies. Every number in it is checked against the
 * file before anything is read or made by it.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { quoted } from "../../printable.js";
import type { ByteSource } from "../byte-source.js";
import { MAX_HEADER_BYTES, weightsError } from "../header.js";
import { storedByteLength } from "../safetensors-dtype.js";
import { findGgmlType, type GgmlType, ggmlTypeNames, isBlockType, unreadGgmlType } from "./ggml-types.js";
import { GgufCursor, type GgufValue, NeedsMore } from "./gguf-cursor.js";

export interface GgufEntry {
  readonly type: GgmlType;
  /** Row-major, as everywhere here: the file keeps the axes in reverse. */
  readonly shape: readonly number[];
  /** Position of the first byte in the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface GgufHeader {
  /** In the order of their bytes in the file. */
  readonly tensors: ReadonlyMap<string, GgufEntry>;
  readonly metadata: ReadonlyMap<string, GgufValue>;
}

/** Read at first; doubled until the header fits. */
const FIRST_READ = 2 ** 20;
/** Files of models have 4 axes, and 5 for the kernel of a video patch. */
const MAX_AXES = 8;
const ORIGINAL_SHAPE = "comfy.gguf.orig_shape.";
const DOWNLOAD_AGAIN = "Download the file again; it is incomplete or not a GGUF file.";

/** Whether a file of these first bytes is GGUF. */
export function isGguf(start: Uint8Array): boolean {
  return start.length >= 4 && String.fromCharCode(...start.subarray(0, 4)) === "GGUF";
}

/**
 * Reads and checks the header. Afterwards each tensor lies inside the file, none overlaps another, and sizes fit
 * shapes.
 * @throws WeightsError `HEADER_INVALID`, `HEADER_TOO_LARGE`, `TRUNCATED`, `UNKNOWN_DTYPE`, `UNSUPPORTED_QUANTIZATION`,
 *   `SPLIT_FILE`, `DUPLICATE_TENSOR`, `SIZE_MISMATCH`, `OFFSETS_OVERLAP`, `OFFSETS_NOT_CONTIGUOUS`, `OFFSET_OUT_OF_RANGE`
 */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  const { name: file, size } = source;
  for (let length = FIRST_READ; ; length *= 2) {
    const bytes = await source.read(0, Math.min(length, size, MAX_HEADER_BYTES));
    try {
      return parse(bytes, size, file);
    } catch (error) {
      if (!(error instanceof NeedsMore)) throw error;
      if (bytes.length === size) {
        throw weightsError("TRUNCATED", `the file ends at byte ${size}, in the middle of its header.`, {
          ...{ where: file, fix: DOWNLOAD_AGAIN },
        });
      }
      if (bytes.length === MAX_HEADER_BYTES) {
        const message = `the header has more than ${MAX_HEADER_BYTES} bytes, which are the most that is accepted.`;
        throw weightsError("HEADER_TOO_LARGE", message, { where: file, fix: DOWNLOAD_AGAIN });
      }
    }
  }
}

function parse(bytes: Uint8Array, fileSize: number, file: string): GgufHeader {
  const cursor = new GgufCursor(bytes, fileSize, (message) => invalid(file, message));
  if (!isGguf(bytes)) {
    if (bytes.length < 4) throw new NeedsMore();
    throw invalid(file, "the file does not begin with the letters GGUF.");
  }
  cursor.skip(4);
  checkVersion(cursor.u32(), file);
  // A tensor takes at least 24 bytes of the header, an entry of the metadata 13.
  const tensorCount = cursor.count(24, "tensors");
  const metadataCount = cursor.count(13, "entries of metadata");
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < metadataCount; i++) {
    const key = cursor.string();
    if (metadata.has(key)) throw invalid(file, `the metadata names ${quoted(key)} twice.`);
    metadata.set(key, cursor.value(key));
  }
  refuseSplit(metadata, file);
  const found = new Map<string, Found>();
  for (let i = 0; i < tensorCount; i++) {
    const [name, entry] = tensorInfo(cursor, metadata, file);
    if (found.has(name)) {
      throw weightsError("DUPLICATE_TENSOR", `the header names tensor ${quoted(name)} twice.`, {
        ...{ where: file, fix: "Write the file again; one of the two tensors would be lost." },
      });
    }
    found.set(name, entry);
  }
  const alignment = alignmentOf(metadata, file);
  const dataOffset = Math.ceil(cursor.position / alignment) * alignment;
  return { metadata, tensors: layout(found, { dataOffset, alignment, fileSize, file }) };
}

function checkVersion(version: number, file: string): void {
  if (version === 2 || version === 3) return;
  const swapped = version === 0x02000000 || version === 0x03000000;
  throw invalid(
    file,
    swapped ? "the numbers of the file are big endian." : `the version is ${version}; 2 and 3 are read.`,
    "Write the file again with a current tool, little endian.",
  );
}

/** Of a split file each part has some of the tensors. */
function refuseSplit(metadata: ReadonlyMap<string, GgufValue>, file: string): void {
  const parts = metadata.get("split.count") ?? 0;
  if (parts === 0 || parts === 1) return;
  const number = metadata.get("split.no");
  const which = typeof number === "number" ? `part ${number + 1}` : "one";
  throw weightsError("SPLIT_FILE", `the file is ${which} of ${quoted(String(parts))} that belong together.`, {
    where: file,
    fix: "Join them with llama.cpp's tool: llama-gguf-split --merge FIRST_PART.gguf WHOLE.gguf.",
  });
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, file: string): number {
  const alignment = metadata.get("general.alignment") ?? 32;
  const isPower = typeof alignment === "number" && alignment > 0 && Number.isInteger(Math.log2(alignment));
  if (isPower && alignment <= 2 ** 20) return alignment;
  throw invalid(
    file,
    `general.alignment is ${quoted(typeof alignment === "bigint" ? String(alignment) : alignment)}.`,
  );
}

/** An entry before its place in the file is checked; `offset` counts from the start of the data. */
type Found = Omit<GgufEntry, "byteOffset"> & { readonly offset: number };

function tensorInfo(
  cursor: GgufCursor,
  metadata: ReadonlyMap<string, GgufValue>,
  file: string,
): [string, Found] {
  const name = cursor.string();
  const axes = cursor.u32();
  if (axes > MAX_AXES) throw invalid(file, `tensor ${quoted(name)} claims ${axes} axes.`);
  const sizes = Array.from({ length: axes }, () => cursor.size(`an axis of tensor ${quoted(name)}`));
  const type = typeOf(cursor.u32(), name, file);
  const offset = cursor.size(`the offset of tensor ${quoted(name)}`);
  const stored = sizes.slice().reverse();
  const byteLength = byteLengthOf(type, sizes);
  if (byteLength === undefined) {
    throw weightsError(
      "SIZE_MISMATCH",
      `tensor ${quoted(name)} (${type.name}, [${stored.join(", ")}]) takes no whole number of blocks and bytes.`,
      { where: file, fix: DOWNLOAD_AGAIN },
    );
  }
  return [name, { type, shape: originalShape(metadata, name, stored, file), byteLength, offset }];
}

function typeOf(id: number, name: string, file: string): GgmlType {
  const type = findGgmlType(id);
  if (type) return type;
  const known = unreadGgmlType(id);
  throw weightsError(
    known ? "UNSUPPORTED_QUANTIZATION" : "UNKNOWN_DTYPE",
    known
      ? `tensor ${quoted(name)} is quantized with ${known}, which can not be read.`
      : `tensor ${quoted(name)} has the unknown type ${id}.`,
    { where: file, fix: `Use a file whose types are among ${ggmlTypeNames().join(", ")}.` },
  );
}

/** `sizes` as in the file: the axis of the blocks first. */
function byteLengthOf(type: GgmlType, sizes: readonly number[]): number | undefined {
  if (!isBlockType(type)) return storedByteLength(type.plain, sizes);
  const [first = 1, ...rest] = sizes;
  if (first % type.elements !== 0) return undefined;
  return storedByteLength("U8", [first / type.elements, type.bytes, ...rest]);
}

/** ComfyUI-GGUF stores some tensors in rows that blocks fit into, and notes what they were. */
function originalShape(
  metadata: ReadonlyMap<string, GgufValue>,
  name: string,
  stored: readonly number[],
  file: string,
): readonly number[] {
  const noted = metadata.get(ORIGINAL_SHAPE + name);
  if (noted === undefined) return stored;
  const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);
  const isShape =
    Array.isArray(noted) &&
    noted.length <= MAX_AXES &&
    noted.every((size) => typeof size === "number" && Number.isSafeInteger(size) && size >= 0);
  const shape = isShape ? (noted as number[]) : [];
  if (isShape && product(shape) === product(stored)) return shape;
  throw invalid(
    file,
    `${quoted(ORIGINAL_SHAPE + name)} is not a shape of the ${product(stored)} numbers of the tensor.`,
  );
}

interface Place {
  readonly dataOffset: number;
  readonly alignment: number;
  readonly fileSize: number;
  readonly file: string;
}

/** Tensors follow one another, each at the next multiple of the alignment. */
function layout(
  found: ReadonlyMap<string, Found>,
  { dataOffset, alignment, fileSize, file }: Place,
): Map<string, GgufEntry> {
  const sorted = [...found].sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  const tensors = new Map<string, GgufEntry>();
  let end = 0;
  for (const [name, { type, shape, byteLength, offset }] of sorted) {
    const expected = Math.ceil(end / alignment) * alignment;
    if (offset !== expected) {
      // The one whose offset is wrong may be another, which left this place.
      const [last, { offset: farthest }] = sorted.at(-1)!;
      const beyond = dataOffset + farthest > fileSize;
      throw weightsError(
        beyond ? "OFFSET_OUT_OF_RANGE" : offset < expected ? "OFFSETS_OVERLAP" : "OFFSETS_NOT_CONTIGUOUS",
        beyond
          ? `tensor ${quoted(last)} begins at data byte ${farthest}, beyond the file's ${fileSize} bytes.`
          : `tensor ${quoted(name)} begins at data byte ${offset}, expected ${expected}.`,
        { where: file, fix: DOWNLOAD_AGAIN },
      );
    }
    end = offset + byteLength;
    if (dataOffset + end > fileSize) {
      throw weightsError(
        "TRUNCATED",
        `the file ends at byte ${fileSize}, tensor ${quoted(name)} at byte ${dataOffset + end}.`,
        { where: file, fix: DOWNLOAD_AGAIN },
      );
    }
    tensors.set(name, { type, shape, byteLength, byteOffset: dataOffset + offset });
  }
  return tensors;
}

function invalid(file: string, message: string, fix = DOWNLOAD_AGAIN): Error {
  return weightsError("HEADER_INVALID", message, { where: file, fix });
}
