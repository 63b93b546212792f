/** Reads the driver's files out of the archive that `@sparticuz/chromium` ships (a brotli-packed tar). */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";
import { SoftwareAdapterError } from "./error.js";

const PACKAGE = "@sparticuz/chromium";
const REINSTALL = `Install ${PACKAGE} again, or install a Vulkan driver (Debian and Ubuntu: mesa-vulkan-drivers).`;
const BLOCK = 512;

export interface DriverArchive {
  readonly path: string;
  /** Version of the package that ships the archive. */
  readonly version: string;
}

/** Finds the archive among the installed packages, without loading the package that owns it. */
export async function findDriverArchive(): Promise<DriverArchive> {
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve(PACKAGE));
  } catch (cause) {
    throw new SoftwareAdapterError("SOFTWARE_ADAPTER_ARCHIVE_MISSING", `${PACKAGE} is not installed.`, {
      fix: REINSTALL,
      cause,
    });
  }
  // The package exports only its code, so its root is found by walking up from there.
  for (let parent = dirname(folder); parent !== folder; folder = parent, parent = dirname(parent)) {
    const path = join(folder, "bin", "swiftshader.tar.br");
    if (!existsSync(path)) continue;
    const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
    return { path, version: manifest.version };
  }
  throw new SoftwareAdapterError(
    "SOFTWARE_ADAPTER_ARCHIVE_MISSING",
    `${PACKAGE} holds no bin/swiftshader.tar.br.`,
    { fix: REINSTALL },
  );
}

/** The named files of the archive. Throws unless every one of them is there, whole. */
export async function readDriverArchive(
  path: string,
  names: readonly string[],
): Promise<Map<string, Uint8Array>> {
  const damaged = (message: string, cause?: unknown) =>
    new SoftwareAdapterError("SOFTWARE_ADAPTER_ARCHIVE_DAMAGED", message, {
      fix: REINSTALL,
      where: path,
      cause,
    });
  let tar: Uint8Array;
  try {
    tar = await promisify(brotliDecompress)(await readFile(path));
  } catch (cause) {
    throw damaged("the driver's archive can not be unpacked.", cause);
  }
  const files = listTar(tar);
  for (const name of names) {
    if (!files.has(name)) throw damaged(`the driver's archive holds no whole file "${name}".`);
  }
  return new Map(names.map((name) => [name, files.get(name)!]));
}

/** Regular files of a tar by base name; a file that is cut off is left out. */
export function listTar(tar: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const text = (from: number, length: number) => {
    const bytes = tar.subarray(from, from + length);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  };
  for (let offset = 0; offset + BLOCK <= tar.length && tar[offset] !== 0; ) {
    const size = Number.parseInt(text(offset + 124, 12).trim(), 8);
    const kind = text(offset + 156, 1);
    const start = offset + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || start + size > tar.length) break;
    const name = text(offset, 100).split("/").at(-1);
    if (name && (kind === "0" || kind === "")) files.set(name, tar.subarray(start, start + size));
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return files;
}
