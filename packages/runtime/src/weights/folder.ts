/** A folder of model files, wherever it lies: on disk, on a server or in memory. */
import { checkOptionKinds } from "../errors.js";
import { type ByteSource, memorySource } from "./byte-source.js";
import { largestFile } from "./folder-limits.js";
import { weightsError } from "./header.js";
import { addressForMessages } from "./http/address.js";
import { HTTP_SOURCE_KINDS, type HttpSourceOptions } from "./http/exchange.js";
import { httpExists, httpGet, httpSource } from "./http/http-source.js";
import type { WeightSource } from "./weight-source.js";

/** All paths are relative to the folder, with `/`. */
export interface FolderReader {
  /** Path or address, for messages. */
  readonly name: string;
  /** @throws WeightsError `NOT_FOUND`, `READ_FAILED`, `TOO_LARGE` (see `readBytes`) */
  readText(path: string): Promise<string>;
  /**
   * The whole of a small file: a configuration, an index (up to 16 MiB), a tokenizer (up to 256 MiB).
   * @throws WeightsError `NOT_FOUND`, `READ_FAILED`, `TOO_LARGE`
   */
  readBytes(path: string): Promise<Uint8Array>;
  /** @throws WeightsError `READ_FAILED` when that can not be found out */
  exists(path: string): Promise<boolean>;
  /** Names of the files and folders directly inside, sorted; none when it is absent or can not be listed. */
  list(path?: string): Promise<string[]>;
  /** The caller closes it. @throws WeightsError `NOT_FOUND`, `READ_FAILED` */
  open(path: string): Promise<ByteSource>;
  /**
   * Weights of the component at `path`, where the folder is one in appearance only and has them from elsewhere. The caller
   * closes them. Undefined where its files hold them as usual.
   */
  weights?(path: string): Promise<WeightSource | undefined>;
}

const PATHS_FIX =
  "A checkpoint names files of its own folder only: download it again, or from another place.";

/**
 * Joins and tidies relative paths. What only one system takes for a separator or a drive (`..\\..\\x`, `C:x`) is refused on
 * all of them: names come from checkpoints, and these are written with `/`.
 *
 * @throws WeightsError `NOT_FOUND` for one that leaves the folder, or would on Windows
 */
export function joinPath(...parts: readonly string[]): string {
  const path: string[] = [];
  for (const part of parts.flatMap((text) => text.split("/"))) {
    if (part === "" || part === ".") continue;
    if (/[\\:\0]/.test(part)) {
      throw weightsError(
        "NOT_FOUND",
        `the path ${JSON.stringify(parts.join("/"))} holds \\, : or a character 0.`,
        { fix: PATHS_FIX },
      );
    }
    if (part !== "..") path.push(part);
    else if (path.pop() === undefined) {
      throw weightsError(
        "NOT_FOUND",
        `the path ${JSON.stringify(parts.join("/"))} leaves the model's folder.`,
        { fix: PATHS_FIX },
      );
    }
  }
  return path.join("/");
}

/** The folder `path` inside of `folder`. */
export function subFolder(folder: FolderReader, path: string): FolderReader {
  const inside = (child: string) => `${joinPath(path)}/${joinPath(child)}`;
  return {
    name: `${folder.name}/${joinPath(path)}`,
    readText: (child) => folder.readText(inside(child)),
    readBytes: (child) => folder.readBytes(inside(child)),
    exists: (child) => folder.exists(inside(child)),
    list: (child = "") => folder.list(inside(child)),
    open: (child) => folder.open(inside(child)),
    ...(folder.weights ? { weights: (child) => folder.weights!(joinPath(path, child)) } : {}),
  };
}

/** UTF-8 text of a file. @throws WeightsError `NOT_TEXT` */
export function decodeText(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw weightsError("NOT_TEXT", "the file is not text in UTF-8.", {
      where,
      fix: "Download it again.",
      cause,
    });
  }
}

/** Files in memory, by path. */
export function memoryFolder(
  files: Readonly<Record<string, Uint8Array | string>>,
  name = "memory",
): FolderReader {
  const contents = new Map(
    Object.entries(files).map(([path, data]) => [
      joinPath(path),
      typeof data === "string" ? new TextEncoder().encode(data) : data,
    ]),
  );
  const bytesOf = (path: string): Uint8Array => {
    const bytes = contents.get(joinPath(path));
    if (bytes) return bytes;
    throw weightsError("NOT_FOUND", "there is no such file.", { where: `${name}/${joinPath(path)}` });
  };
  const below = (path: string) => {
    const prefix = joinPath(path) === "" ? "" : `${joinPath(path)}/`;
    return [...contents.keys()]
      .filter((file) => file.startsWith(prefix))
      .map((file) => file.slice(prefix.length));
  };
  return {
    name,
    readText: async (path) => decodeText(bytesOf(path), `${name}/${path}`),
    readBytes: async (path) => new Uint8Array(bytesOf(path)),
    exists: async (path) => contents.has(joinPath(path)) || below(path).length > 0,
    list: async (path = "") => [...new Set(below(path).map((file) => file.split("/")[0]!))].sort(),
    open: async (path) => memorySource(bytesOf(path), `${name}/${joinPath(path)}`),
  };
}

export interface HttpFolderOptions extends HttpSourceOptions {
  /** Paths of the files, for `list`: servers do not tell. */
  readonly files?: readonly string[];
}

/**
 * Files under an address, e.g. `https://example.org/models/wan/`. A query of the address is kept for each file; user
 * and password in it are sent, and never said.
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export function httpFolder(base: string | URL, options: HttpFolderOptions = {}): FolderReader {
  checkOptionKinds({ ...HTTP_SOURCE_KINDS, files: "array" }, options, "httpFolder");
  const { files, ...http } = options;
  const name = addressForMessages(base).replace(/\/+$/, "");
  const [path = "", ...query] = String(base)
    .split("#")[0]!
    .split(/(?=\?)/);
  const root = path.replace(/\/+$/, "");
  const address = (child: string) =>
    `${root}/${joinPath(child).split("/").map(encodeURIComponent).join("/")}${query.join("")}`;
  const listing = files ? memoryFolder(Object.fromEntries(files.map((file) => [file, ""]))) : undefined;
  const readBytes = (child: string) => httpGet(address(child), largestFile(child), http);
  return {
    name,
    readBytes,
    readText: async (child) => decodeText(await readBytes(child), `${name}/${joinPath(child)}`),
    exists: async (child) => (listing ? listing.exists(child) : httpExists(address(child), http)),
    list: async (child = "") => (await listing?.list(child)) ?? [],
    open: (child) => httpSource(address(child), http),
  };
}
