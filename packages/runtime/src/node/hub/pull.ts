/** Downloads a repository of the Hub into its cache: in parts that can be resumed, checked by their hashes. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, open, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { throwIfAborted } from "../../errors.js";
import { readFailed, weightsError } from "../../weights/header.js";
import { again, exchange, type HttpSourceOptions } from "../../weights/http/exchange.js";
import {
  HUB_ENDPOINT,
  type HubFile,
  hubFileAddress,
  hubListing,
  isRepositoryName,
} from "../../weights/http/hub.js";
import {
  cachedSnapshot,
  type HubEnvironment,
  hubCacheFolder,
  isOffline,
  repositoryFolder,
} from "./hub-cache.js";

export interface PullOptions
  extends Pick<HttpSourceOptions, "fetch" | "retries" | "retryDelay" | "idleTimeout"> {
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Only paths that one of these patterns matches; `*` stands for any characters. Default: all. */
  readonly include?: readonly string[];
  /** Files at a time. Default 4. */
  readonly parallel?: number;
  readonly signal?: AbortSignal;
  /** Hears of bytes that are there, of all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Pulls what is missing and returns the snapshot's folder. A file that a run left unfinished goes on where it ended.
 * @throws WeightsError `NOT_FOUND`, `READ_FAILED`, `HUB_ANSWER`, `CHECKSUM` (the file is removed), `OFFLINE`; AbortError
 */
export async function pullRepository(
  repository: string,
  env: HubEnvironment,
  options: PullOptions = {},
): Promise<string> {
  if (!isRepositoryName(repository)) {
    throw weightsError("NOT_FOUND", "this names no repository of the Hub.", {
      ...{ where: repository, fix: "Give owner/name." },
    });
  }
  const revision = options.revision ?? "main";
  if (isOffline(env)) {
    const there = await cachedSnapshot(repository, env, revision);
    if (there) return there;
    throw weightsError(
      "OFFLINE",
      "the repository is not in the cache, and HF_HUB_OFFLINE forbids asking for it.",
      {
        ...{ where: repository, fix: "Unset HF_HUB_OFFLINE, or pull it where there is a connection." },
      },
    );
  }
  const endpoint = env.HF_ENDPOINT || HUB_ENDPOINT;
  const http: HttpSourceOptions = {
    ...options,
    ...(env.HF_TOKEN ? { headers: { Authorization: `Bearer ${env.HF_TOKEN}` } } : {}),
  };
  const { commit, files: all } = await hubListing(repository, revision, endpoint, http);
  const files = all.filter(({ path }) => isIncluded(path, options.include));
  if (files.length === 0) {
    throw weightsError("NOT_FOUND", `none of the ${all.length} files is included.`, {
      ...{ where: repository, fix: "Check the patterns of include." },
    });
  }
  const folder = repositoryFolder(hubCacheFolder(env), repository);
  const snapshot = join(folder, "snapshots", commit);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const done = new Map<string, number>();
  const progress = (file: HubFile, bytes: number) => {
    done.set(file.path, bytes);
    options.onProgress?.(
      [...done.values()].reduce((sum, one) => sum + one, 0),
      total,
    );
  };
  await mkdir(join(folder, "blobs"), { recursive: true });
  const queue = [...files];
  const controller = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, controller.signal]) : controller.signal;
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      throwIfAborted(signal, "the download");
      const one = file;
      const address = hubFileAddress(repository, commit, one.path, endpoint);
      const blob = join(folder, "blobs", one.hash);
      await pullBlob(address, one, blob, { ...http, signal }, (bytes) => progress(one, bytes));
      await link(blob, join(snapshot, one.path));
    }
  };
  // All of them end before the call does; the first failure stops the others.
  const results = await Promise.allSettled(
    Array.from({ length: Math.max(1, options.parallel ?? 4) }, () =>
      worker().catch((error: unknown) => {
        controller.abort();
        throw error;
      }),
    ),
  );
  throwIfAborted(options.signal, "the download");
  const failures = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  const first = failures.find((error) => (error as { code?: string }).code !== "ABORTED") ?? failures[0];
  if (first !== undefined) throw first;
  await mkdir(dirname(join(folder, "refs", revision)), { recursive: true });
  await writeFile(join(folder, "refs", revision), commit);
  return snapshot;
}

function isIncluded(path: string, patterns: readonly string[] | undefined): boolean {
  if (!patterns || patterns.length === 0) return true;
  return patterns.some((pattern) => {
    const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${parts.join(".*")}$`).test(path);
  });
}

/** The file under its hash, from where an earlier run left it. */
async function pullBlob(
  address: string,
  file: HubFile,
  blob: string,
  options: HttpSourceOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const whole = await sizeOf(blob);
  if (whole === file.size) return onBytes(file.size);
  const partial = `${blob}.incomplete`;
  if (((await sizeOf(partial)) ?? 0) > file.size) await rm(partial, { force: true });
  const readAgain = (message: string, fix: string) => readFailed(message, { where: address, fix });
  await exchangeRest();
  const hash = await hashOf(partial, file);
  if (hash !== file.hash) {
    await rm(partial, { force: true });
    throw weightsError("CHECKSUM", `the hash of the file is ${hash}, the Hub says ${file.hash}.`, {
      where: address,
      fix: "Pull it again; where that recurs, the server or a mirror changes files.",
      fault: "run",
    });
  }
  await rename(partial, blob);
  onBytes(file.size);

  async function exchangeRest(): Promise<void> {
    // Each attempt goes on from what is on the disk, so that a server that cuts is asked for less every time.
    for (let idle = 0; ; ) {
      const start = (await sizeOf(partial)) ?? 0;
      if (start === file.size && (start > 0 || (await sizeOf(partial)) !== undefined)) return;
      try {
        await attempt(start);
        if (file.size === 0) return;
      } catch (error) {
        const grown = ((await sizeOf(partial)) ?? 0) > start;
        if ((error as { code?: string }).code !== "READ_FAILED") throw error;
        // An attempt that brought bytes is progress; those that bring none are few.
        idle = grown ? 0 : idle + 1;
        if (idle > 0) throw error;
      }
    }
  }

  function attempt(start: number): Promise<void> {
    const headers: Record<string, string> = start > 0 ? { Range: `bytes=${start}-` } : {};
    return exchange(
      address,
      headers,
      { ...options, retries: start > 0 ? 0 : (options.retries ?? 3) },
      async (answer) => {
        const { status, headers: given } = answer.response;
        const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(given.get("content-range") ?? "");
        // A server that ignores the range sends the file from its start.
        const from = status === 206 && range ? Number(range[1]) : 0;
        if (status === 206 && from !== start)
          throw readAgain(
            `bytes from ${start} were asked for, the server sent them from ${from}.`,
            "Try again.",
          );
        const out = await open(partial, from === 0 ? "w" : "r+");
        try {
          let at = from;
          for await (const part of answer.parts()) {
            if (at + part.length > file.size) {
              await out.truncate(0);
              throw readAgain(`the server sends more than the ${file.size} bytes of the file.`, "Try again.");
            }
            for (let done = 0; done < part.length; )
              done += (await out.write(part, done, part.length - done, at + done)).bytesWritten;
            at += part.length;
            onBytes(at);
          }
          if (at < file.size) {
            const cut = readAgain(`the server ended at byte ${at} of ${file.size}.`, "Pull it again.");
            throw at > start ? cut : again(cut);
          }
        } finally {
          await out.close();
        }
      },
    );
  }
}

function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** SHA-256 of a large file, git's name of any other. */
async function hashOf(path: string, { isLarge, size }: HubFile): Promise<string> {
  const hash = createHash(isLarge ? "sha256" : "sha1");
  if (!isLarge) hash.update(`blob ${size}\0`);
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest("hex");
}

/** A link to the blob; where links are not allowed (Windows without its developer mode), a copy. */
async function link(blob: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  try {
    await symlink(relative(dirname(path), blob), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    await copyFile(blob, path);
  }
}
