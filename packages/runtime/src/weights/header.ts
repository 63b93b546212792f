/**
 * The header of a safetensors file: `u64` length (little endian), that many bytes of JSON, then the data. Every
 * number in it is checked against the file before anything is read by it.
 * Format: https://github.com/huggingface/safetensors, "Format".
 */

import { type LvsaErrorOptions, WeightsError } from "../errors.js";
import { quoted } from "../printable.js";
import { findRepeatedKey } from "./json-keys.js";
import {
  isSafetensorsDType,
  type SafetensorsDType,
  safetensorsDTypes,
  storedByteLength,
} from "./safetensors-dtype.js";

/** The limit of the original reader too; real headers have at most a few megabytes. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Bytes in front of the header. */
export const HEADER_PREFIX_BYTES = 8;

/** What can be wrong with weights. `WeightsError.code` is one of these. */
export type WeightsErrorCode =
  | "TRUNCATED"
  | "HEADER_TOO_LARGE"
  | "HEADER_NOT_JSON"
  | "HEADER_INVALID"
  | "UNKNOWN_DTYPE"
  | "SIZE_MISMATCH"
  | "OFFSET_OUT_OF_RANGE"
  | "OFFSETS_OVERLAP"
  | "OFFSETS_NOT_CONTIGUOUS"
  | "DUPLICATE_TENSOR"
  | "MISSING_TENSOR"
  | "WRONG_SHAPE"
  | "UNSUPPORTED_DTYPE"
  | "UNSUPPORTED_QUANTIZATION"
  | "ADAPTER_IN_WEIGHTS"
  | "PICKLED_WEIGHTS"
  | "SPLIT_FILE"
  | "HUB_ANSWER"
  | "CHECKSUM"
  | "OFFLINE"
  | "WRITE_FAILED"
  | "INDEX_MISMATCH"
  | "NOT_FOUND"
  | "NOT_A_FILE"
  | "NOT_TEXT"
  | "NOT_READABLE"
  | "NO_ACCESS"
  | "TOO_LARGE";

export function weightsError(
  code: WeightsErrorCode,
  message: string,
  options: LvsaErrorOptions = {},
): WeightsError {
  return new WeightsError(code, message, options);
}

/** Disk or connection broke while reading: no fault of what is read. */
export function readFailed(message: string, options: Omit<LvsaErrorOptions, "fault"> = {}): WeightsError {
  return new WeightsError("READ_FAILED", message, { ...options, fault: "run" });
}

export interface HeaderEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Position of the first byte in the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes in the file. */
  readonly tensors: ReadonlyMap<string, HeaderEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Position of the first byte of data in the file. */
  readonly dataOffset: number;
}

const DOWNLOAD_AGAIN = "Download the file again; it is incomplete or not a safetensors file.";

/**
 * Length of the JSON, from the first 8 bytes of a file of `fileSize` bytes.
 * @throws WeightsError `TRUNCATED`, `HEADER_TOO_LARGE`
 */
export function parseHeaderLength(prefix: Uint8Array, fileSize: number, file: string): number {
  if (fileSize < HEADER_PREFIX_BYTES || prefix.length < HEADER_PREFIX_BYTES) {
    throw weightsError("TRUNCATED", `the file has ${fileSize} bytes; even an empty one has 10.`, {
      where: file,
      fix: DOWNLOAD_AGAIN,
    });
  }
  const bytes = new DataView(prefix.buffer, prefix.byteOffset, HEADER_PREFIX_BYTES);
  const length = bytes.getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    const message = `the header claims ${length} bytes, at most ${MAX_HEADER_BYTES} are accepted.`;
    throw weightsError("HEADER_TOO_LARGE", message, { where: file, fix: DOWNLOAD_AGAIN });
  }
  const needed = HEADER_PREFIX_BYTES + Number(length);
  if (needed > fileSize) {
    throw weightsError("TRUNCATED", `the header ends at byte ${needed}, the file at byte ${fileSize}.`, {
      where: file,
      fix: DOWNLOAD_AGAIN,
    });
  }
  return Number(length);
}

/**
 * Parses and checks the JSON. Afterwards each tensor lies inside the file, tensors cover the data without overlap
 * or hole, and their sizes fit their shapes.
 * @throws WeightsError with any of the header's codes
 */
export function parseHeader(json: Uint8Array, fileSize: number, file: string): SafetensorsHeader {
  const dataOffset = HEADER_PREFIX_BYTES + json.length;
  const entries = Object.entries(parseObject(json, file));
  const tensors: [string, HeaderEntry][] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of entries) {
    if (name === "__metadata__") metadata = checkMetadata(value, file);
    else tensors.push([name, checkEntry(name, value, dataOffset, file)]);
  }
  tensors.sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  checkLayout(tensors, dataOffset, fileSize, file);
  return { tensors: new Map(tensors), metadata, dataOffset };
}

function parseObject(json: Uint8Array, file: string): Record<string, unknown> {
  const fail = (message: string, cause?: unknown) =>
    weightsError("HEADER_NOT_JSON", message, { where: file, fix: DOWNLOAD_AGAIN, cause });
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
    parsed = JSON.parse(text);
  } catch (cause) {
    throw fail(`the ${json.length} bytes of the header are not JSON text in UTF-8.`, cause);
  }
  if (!isObject(parsed)) throw fail("the header is JSON, but not an object.");
  const repeated = findRepeatedKey(text);
  if (repeated?.depth === 1 && repeated.key !== "__metadata__") {
    throw weightsError("DUPLICATE_TENSOR", `the header names tensor ${quoted(repeated.key)} twice.`, {
      where: file,
      fix: "Write the file again; one of the two tensors would be lost.",
    });
  }
  if (repeated)
    throw invalid(file, `the key ${quoted(repeated.key)} occurs twice in one object of the header.`);
  return parsed;
}

function checkMetadata(value: unknown, file: string): Record<string, string> {
  if (!isObject(value)) throw invalid(file, "`__metadata__` is not an object.");
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw invalid(file, `\`__metadata__.${key}\` is not a string.`);
  }
  return value as Record<string, string>;
}

function checkEntry(name: string, value: unknown, dataOffset: number, file: string): HeaderEntry {
  if (!isObject(value)) throw invalid(file, `the entry of tensor ${quoted(name)} is not an object.`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") throw invalid(file, `tensor ${quoted(name)} has no dtype.`);
  if (!isSafetensorsDType(dtype)) {
    throw weightsError(
      "UNKNOWN_DTYPE",
      `tensor ${quoted(name)} has the unknown dtype ${quoted(dtype, 40)}.`,
      {
        where: file,
        fix: `Convert the file; known are ${safetensorsDTypes().join(", ")}.`,
      },
    );
  }
  if (!isSizes(shape)) throw invalid(file, `the shape of tensor ${quoted(name)} is not a list of sizes.`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[1]! < offsets[0]!) {
    throw weightsError(
      "OFFSET_OUT_OF_RANGE",
      `the data_offsets of tensor ${quoted(name)} are not a begin and an end: ${quoted(offsets)}.`,
      { where: file, fix: DOWNLOAD_AGAIN },
    );
  }
  const [begin, end] = offsets as [number, number];
  const expected = storedByteLength(dtype, shape);
  if (expected !== end - begin) {
    throw weightsError(
      "SIZE_MISMATCH",
      `tensor ${quoted(name)} (${dtype}, [${shape.slice(0, 16).join(", ")}${shape.length > 16 ? ", ..." : ""}]) takes ${expected ?? "an impossible number of"} bytes, ` +
        `but its data_offsets hold ${end - begin}.`,
      { where: file, fix: DOWNLOAD_AGAIN },
    );
  }
  return { dtype, shape, byteOffset: dataOffset + begin, byteLength: end - begin };
}

function checkLayout(
  tensors: readonly [string, HeaderEntry][],
  dataOffset: number,
  fileSize: number,
  file: string,
): void {
  let end = dataOffset;
  let last = "the header";
  let cut: string | undefined;
  const position = (offset: number) => offset - dataOffset;
  for (const [name, entry] of tensors) {
    const { byteOffset } = entry;
    if (byteOffset < end) {
      throw weightsError(
        "OFFSETS_OVERLAP",
        `tensor ${quoted(name)} begins at data byte ${position(byteOffset)}, before ${last} ends (${position(end)}).`,
        { where: file, fix: DOWNLOAD_AGAIN },
      );
    }
    if (byteOffset > end) {
      // Offsets that make no sense beyond the file are the header's fault, not that of a short file.
      const beyond = byteOffset > fileSize;
      throw weightsError(
        beyond ? "OFFSET_OUT_OF_RANGE" : "OFFSETS_NOT_CONTIGUOUS",
        beyond
          ? `tensor ${quoted(name)} begins at byte ${byteOffset}, the file ends at byte ${fileSize}.`
          : `${byteOffset - end} bytes between ${last} and tensor ${quoted(name)} belong to no tensor.`,
        { where: file, fix: DOWNLOAD_AGAIN },
      );
    }
    end = Math.max(end, byteOffset + entry.byteLength);
    last = `tensor ${quoted(name)}`;
    if (end > fileSize) cut ??= name;
  }
  if (cut !== undefined) {
    throw weightsError(
      "TRUNCATED",
      `the file ends at byte ${fileSize}, its tensors at byte ${end}; ${quoted(cut)} is the first that is cut off.`,
      { where: file, fix: DOWNLOAD_AGAIN },
    );
  }
  if (end < fileSize) {
    throw weightsError(
      "OFFSETS_NOT_CONTIGUOUS",
      `${fileSize - end} bytes after ${last} belong to no tensor.`,
      {
        where: file,
        fix: DOWNLOAD_AGAIN,
      },
    );
  }
}

function invalid(file: string, message: string): WeightsError {
  return weightsError("HEADER_INVALID", message, { where: file, fix: DOWNLOAD_AGAIN });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
