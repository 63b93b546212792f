/** Latents on disk: one tensor `latents` [B, C, T, h, w] float32, and what clip they are of. */
import { open, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { HostTensor } from "@lvsa/diffusion";
import { encodeSafetensors, onOneLine, openSafetensors, WeightsError } from "@lvsa/runtime";
import { fileSource } from "@lvsa/runtime/node";
import { makeFolder, partialPath } from "@lvsa/video/node";

const NAME = "latents";

export interface LatentsFile extends HostTensor {
  /** Texts of the header. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** @throws WeightsError when the file, the tensor, its type or its rank is not right */
export async function readLatents(path: string): Promise<LatentsFile> {
  const source = await openSafetensors(await fileSource(path));
  try {
    const info = source.has(NAME) ? source.info(NAME) : undefined;
    const wrong = !info
      ? `there is no tensor "${NAME}" (found: ${foundNames(source.names())})`
      : info.dtype !== "F32"
        ? `tensor "${NAME}" is ${info.dtype}, expected F32`
        : info.shape.length !== 5
          ? `tensor "${NAME}" has the shape [${info.shape.join(", ")}], expected [B, C, T, h, w]`
          : undefined;
    if (!info || wrong) {
      throw new WeightsError("BAD_LATENTS", wrong ?? "", {
        where: path,
        fix: `Save float32 latents [B, C, T, h, w] under the name "${NAME}".`,
      });
    }
    const bytes = await source.read(NAME);
    // A copy starts on a multiple of four bytes.
    const data = new Float32Array(new Uint8Array(bytes).buffer);
    if (data.every(Number.isFinite)) return { data, shape: info.shape, metadata: source.metadata };
    throw new WeightsError("NOT_FINITE", `tensor "${NAME}" holds values that are not finite numbers`, {
      where: path,
      fix: "Use latents of a run that went well.",
    });
  } finally {
    await source.close();
  }
}

function foundNames(names: readonly string[]): string {
  const shown = names.slice(0, 4).map((name) => onOneLine(name, 80));
  return `${shown.join(", ") || "none"}${names.length > shown.length ? ` and ${names.length - shown.length} more` : ""}`;
}

/** The bytes of a latents file. */
export function encodeLatents(
  { data, shape }: HostTensor,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  return encodeSafetensors({ [NAME]: { dtype: "F32", shape, data } }, metadata);
}

/** @returns the absolute path */
export function writeLatents(
  path: string,
  latents: HostTensor,
  metadata: Readonly<Record<string, string>> = {},
): Promise<string> {
  return writeBeside(path, encodeLatents(latents, metadata));
}

/**
 * Writes beside and renames, so that a half file is never seen. Missing parent folders are made.
 *
 * @returns the absolute path
 */
export async function writeBeside(path: string, bytes: Uint8Array): Promise<string> {
  const target = resolve(path);
  await makeFolder(dirname(target));
  const partial = partialPath(target);
  try {
    const file = await open(partial, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, target);
    return target;
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
