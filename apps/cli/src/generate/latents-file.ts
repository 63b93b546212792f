/** Latents on disk: one tensor `latents` [B, C, T, h, w] float32. */
import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { HostTensor } from "@lvsa/diffusion";
import { encodeSafetensors, openSafetensors, WeightsError } from "@lvsa/runtime";
import { fileSource } from "@lvsa/runtime/node";

const NAME = "latents";

/** @throws WeightsError when the file, the tensor, its type or its rank is not right */
export async function readLatents(path: string): Promise<HostTensor> {
  const source = await openSafetensors(await fileSource(path));
  try {
    const info = source.has(NAME) ? source.info(NAME) : undefined;
    const wrong = !info
      ? `there is no tensor "${NAME}" (found: ${source.names().join(", ") || "none"})`
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
    if (data.every(Number.isFinite)) return { data, shape: info.shape };
    throw new WeightsError("NOT_FINITE", `tensor "${NAME}" holds values that are not finite numbers`, {
      where: path,
      fix: "Use latents of a run that went well.",
    });
  } finally {
    await source.close();
  }
}

/** Writes beside and renames, so that a half file is never seen. Missing parent folders are made. */
export async function writeLatents(path: string, latents: HostTensor): Promise<string> {
  const target = resolve(path);
  await mkdir(dirname(target), { recursive: true });
  const partial = join(dirname(target), `.${basename(target)}.${randomUUID().slice(0, 8)}.partial`);
  try {
    const file = await open(partial, "wx");
    try {
      await file.writeFile(
        encodeSafetensors({ [NAME]: { dtype: "F32", shape: latents.shape, data: latents.data } }),
      );
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
