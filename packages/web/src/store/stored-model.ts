/** A model's files in the origin's private file system, fetched from their server when they are first needed. */
import {
  checkOptionKinds,
  type FolderReader,
  folderOf,
  isLvsaError,
  joinPath,
  LvsaError,
  type OptionKinds,
} from "@lvsa/runtime";
import * as z from "zod";
import { fileSource } from "../folders/file-folders.js";
import type { ListedFile } from "../model-source.js";
import { download } from "./download.js";
import { freeBytes, keptModels, MODEL_FILE, MODELS, removeKeptModel } from "./kept-models.js";
import { exclusively } from "./lock.js";
import {
  openToWrite,
  readFile,
  readJsonFile,
  removeEntry,
  storeDirectory,
  storeFull,
  writeWhole,
} from "./opfs.js";

const DOWNLOADS_AT_ONCE = 3;

const versionSchema = z.object({
  etag: z.nullable(z.string()),
  modified: z.nullable(z.string()),
  total: z.nullable(z.number()),
});
/** Beside each file. Without `size` it is not whole yet; `absent`: the server has none. */
const recordSchema = z.object({
  path: z.string(),
  version: z.optional(versionSchema),
  size: z.optional(z.number()),
  sha256: z.optional(z.string()),
  absent: z.optional(z.boolean()),
});
type FileRecord = z.infer<typeof recordSchema>;

/** `files.json`: an array, or an object with one. */
const listSchema = z.array(
  z.object({ path: z.string(), size: z.optional(z.number()), sha256: z.optional(z.string()) }),
);

export interface StoredModelOptions {
  readonly files?: readonly ListedFile[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly fetch?: typeof globalThis.fetch;
  /** Remove models that were used longest ago where there is no room for this one. Default false: `STORE_FULL`. */
  readonly makeRoom?: boolean | undefined;
  readonly onNote?: (note: string) => void;
  readonly onProgress?: (report: {
    readonly path: string;
    readonly done: number;
    readonly total: number;
  }) => void;
}

const STORED_KINDS: OptionKinds<StoredModelOptions> = {
  ...{ files: "array", signal: "object", fetch: "function", makeRoom: "boolean" },
  ...{ onNote: "function", onProgress: "function" },
};

/** Folder of the store for a model: its address, shortened to what a file name can hold. */
export async function modelKey(url: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(url)));
  return [...digest.subarray(0, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Files of the folder at `url`, each stored whole before it is read. With a list of files all of them are fetched now,
 * and nothing is asked of the server afterwards.
 *
 * @throws UsageError `BAD_OPTION`; WeightsError `DOWNLOAD_FAILED`, `CHECKSUM`; LvsaError `STORE_FULL`, `STORE_UNAVAILABLE`; AbortError
 */
export async function storedModel(url: string, options: StoredModelOptions = {}): Promise<FolderReader> {
  checkOptionKinds(STORED_KINDS, options, "storedModel");
  const root = url.replace(/[?#].*$/, "").replace(/\/+$/, "");
  const key = await modelKey(root);
  const model = new StoredModel(root, key, options);
  await model.touch();
  const listed = options.files ?? (await model.list());
  if (listed) await model.fetchAll(listed);
  return model.folder(listed);
}

class StoredModel {
  #progress = new Map<string, { done: number; total: number }>();
  #signal: AbortSignal | undefined;
  /** How many other models had to go for this one. */
  #removed = 0;

  constructor(
    readonly root: string,
    readonly key: string,
    readonly options: StoredModelOptions,
  ) {
    this.#signal = options.signal;
  }

  /** Says whose folder it is, and that it is in use. */
  async touch(): Promise<void> {
    const text = JSON.stringify({ url: this.root, lastUsed: Date.now() });
    await exclusively(`${MODELS}/${this.key}`, () =>
      this.#withRoom(async () => writeWhole(await this.#directory(), MODEL_FILE, text)),
    );
  }

  /** Looked up each time: the browser may have removed everything that it keeps for the page. */
  #directory(): Promise<FileSystemDirectoryHandle> {
    return storeDirectory(MODELS, this.key);
  }

  /** What the server's `files.json` lists; undefined where it has none. */
  async list(): Promise<readonly ListedFile[] | undefined> {
    const file = await this.ensure({ path: "files.json" });
    if (!file) return undefined;
    const parsed = listSchema.safeParse(jsonOf(await file.text()));
    if (!parsed.success) {
      await this.#forget("files.json");
      throw new LvsaError("BAD_FILE_LIST", `files.json lists no files: ${z.prettifyError(parsed.error)}`, {
        where: `${this.root}/files.json`,
        fix: 'It should be an array of { "path", "size", "sha256" }.',
      });
    }
    return parsed.data.map(({ path, size, sha256 }) => ({
      path: joinPath(path),
      ...(size === undefined ? {} : { size }),
      ...(sha256 === undefined ? {} : { sha256 }),
    }));
  }

  async fetchAll(files: readonly ListedFile[]): Promise<void> {
    await this.#checkRoom(files);
    for (const { path, size } of files) this.#progress.set(path, { done: 0, total: size ?? 0 });
    const waiting = [...files];
    const work = async () => {
      for (let file = waiting.shift(); file; file = waiting.shift()) {
        const stored = await this.ensure(file).catch((error: unknown) => {
          // The others end with what they are at.
          waiting.length = 0;
          throw error;
        });
        if (stored) continue;
        throw new LvsaError("MISSING_FILE", "the list of files names it, and the server has none.", {
          where: `${this.root}/${file.path}`,
          fix: "Check the address and the list.",
        });
      }
    };
    await Promise.all(Array.from({ length: DOWNLOADS_AT_ONCE }, work));
    // What is asked for later is a matter of the generation, not of this download.
    this.#signal = undefined;
  }

  folder(listed: readonly ListedFile[] | undefined): FolderReader {
    const paths = listed?.map(({ path }) => path);
    const isInside = (path: string) =>
      paths?.some((one) => one === path || one.startsWith(`${path}/`)) ?? true;
    return folderOf({
      name: this.root,
      open: async (path) => {
        if (paths && !paths.includes(path)) return undefined;
        const file = await this.ensure({ path });
        return file && fileSource(file, `${this.root}/${path}`);
      },
      exists: async (path) => (paths ? isInside(path) : (await this.ensure({ path })) !== undefined),
      list: async (path) => {
        const prefix = path === "" ? "" : `${path}/`;
        const below = (paths ?? []).filter((one) => one.startsWith(prefix));
        return [...new Set(below.map((one) => one.slice(prefix.length).split("/")[0]!))];
      },
    });
  }

  /** The file, whole; fetched, or the rest of it, where it is not. Undefined where the server has none. */
  ensure(file: ListedFile): Promise<File | undefined> {
    return exclusively(`${MODELS}/${this.key}/${file.path}`, async () => {
      const names = namesOf(file.path);
      const record = await this.#record(file.path);
      if (record?.absent) return undefined;
      if (record?.size !== undefined) {
        const stored = await readFile(await this.#directory(), names.content);
        const isListed =
          (file.size === undefined || file.size === record.size) &&
          (file.sha256 === undefined || file.sha256.toLowerCase() === record.sha256);
        if (stored?.size === record.size && isListed) {
          this.#report(file.path, record.size, record.size);
          return stored;
        }
      }
      // After a fresh look at what is there.
      return this.#withRoom(async () => this.#fetch(file, await this.#record(file.path)));
    });
  }

  /** Browsers overstate the room that they give: where it ends is found out by writing. `work` is done again after that. */
  async #withRoom<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      const removed = this.#removed;
      try {
        return await work();
      } catch (error) {
        if (!isLvsaError(error) || error.code !== "STORE_FULL") throw error;
        const hasRoom = await exclusively(`${MODELS}/room`, async () =>
          // Another file's download may have made room meanwhile.
          removed === this.#removed ? this.#makeRoom() : true,
        );
        if (!hasRoom) throw this.#full(error);
      }
    }
  }

  /** Removes the model that was used longest ago; false where there is none, or it was not asked for. */
  async #makeRoom(): Promise<boolean> {
    if (!this.options.makeRoom) return false;
    const oldest = (await keptModels()).find(({ key }) => key !== this.key);
    if (!oldest) return false;
    await removeKeptModel(oldest.key);
    this.#removed += 1;
    this.options.onNote?.(`${oldest.url} was removed from the browser to make room.`);
    return true;
  }

  async #fetch(file: ListedFile, record: FileRecord | undefined): Promise<File | undefined> {
    const { path } = file;
    const names = namesOf(path);
    await this.touch();
    const directory = await this.#directory();
    const write = (content: FileRecord) => writeWhole(directory, names.record, JSON.stringify(content));
    const opened = await openToWrite(directory, names.content);
    let got: Awaited<ReturnType<typeof download>>;
    try {
      got = await download({
        url: `${this.root}/${path.split("/").map(encodeURIComponent).join("/")}`,
        file: opened,
        // A whole file that is not the listed one is fetched anew.
        version: record?.size === undefined ? record?.version : undefined,
        size: file.size,
        sha256: file.sha256,
        signal: this.#signal,
        ...(this.options.fetch ? { fetch: this.options.fetch } : {}),
        onVersion: (version) => write({ path, version }),
        onProgress: (done, total) => this.#report(path, done, total ?? done),
      });
    } catch (error) {
      await opened.close();
      if ((error as { code?: string }).code === "CHECKSUM") await this.#forget(path);
      throw error;
    }
    await opened.close();
    if (!got) {
      await removeEntry(await this.#directory(), names.content);
      // A list that may come later is asked for again.
      if (path !== "files.json") await write({ path, absent: true });
      return undefined;
    }
    await write({ path, size: got.size, sha256: got.sha256 });
    return readFile(await this.#directory(), names.content);
  }

  async #record(path: string): Promise<FileRecord | undefined> {
    return recordSchema.safeParse(await readJsonFile(await this.#directory(), namesOf(path).record)).data;
  }

  async #forget(path: string): Promise<void> {
    const { content, record } = namesOf(path);
    await removeEntry(await this.#directory(), record);
    await removeEntry(await this.#directory(), content);
  }

  /** Says before the first byte what will not fit. */
  async #checkRoom(files: readonly ListedFile[]): Promise<void> {
    let missing = 0;
    for (const { path, size = 0 } of files) {
      const there = await readFile(await this.#directory(), namesOf(path).content);
      missing += Math.max(0, size - (there?.size ?? 0));
    }
    for (;;) {
      const room = await freeBytes();
      if (room === undefined || missing <= room) return;
      if (await this.#makeRoom()) continue;
      throw storeFull(
        this.root,
        `the model needs ${megabytes(missing)} more, and the browser gives this page ${megabytes(room)}.`,
      );
    }
  }

  /** The room ended while a file was written. */
  #full(cause: LvsaError): LvsaError {
    const { done, total } = this.#sums();
    const ofAll = total > 0 ? ` after ${megabytes(done)} of the model's ${megabytes(total)}` : "";
    return storeFull(this.root, `the browser gave this page no more room for files${ofAll}.`, cause);
  }

  #sums(): { done: number; total: number } {
    const sums = { done: 0, total: 0 };
    for (const one of this.#progress.values()) {
      sums.done += one.done;
      sums.total += one.total;
    }
    return sums;
  }

  #report(path: string, done: number, total: number): void {
    this.#progress.set(path, { done, total });
    this.options.onProgress?.({ path, ...this.#sums() });
  }
}

/** All files of a model lie in one folder, by names that any path fits into. */
function namesOf(path: string): { readonly content: string; readonly record: string } {
  const name = encodeURIComponent(path);
  return { content: `${name}.data`, record: `${name}.json` };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
