/** Downloads a repository of the Hub into its cache: in parts that can be resumed, checked by their hashes. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, open, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { checkOptionKinds, isLvsaError, type OptionKinds, throwIfAborted } from "../../errors.js";
import { quoted } from "../../printable.js";
import { readFailed, weightsError } from "../../weights/header.js";
import { type Answer, again, exchange, type HttpSourceOptions } from "../../weights/http/exchange.js";
import {
  HUB_ENDPOINT,
  type HubFile,
  hubFileAddress,
  hubListing,
  isCommit,
  isRepositoryName,
  isRevisionName,
} from "../../weights/http/hub.js";
import { type HubEnvironment, hubCacheFolder, isOffline, repositoryFolder } from "./hub-cache.js";
import { offlineSnapshot } from "./offline-snapshot.js";
import { claimPartial, sizeOf } from "./partial-file.js";
import { choosePaths, type PathChoice, uselessPatterns } from "./path-patterns.js";

/** Patterns are those of the shell, over slashes too; one that fits no file is refused. */
export interface PullOptions
  extends PathChoice,
    Pick<HttpSourceOptions, "fetch" | "retries" | "retryDelay" | "idleTimeout"> {
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Files at a time. Default 4. */
  readonly parallel?: number;
  readonly signal?: AbortSignal;
  /** Hears of bytes that are there, of all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

const PULL_KINDS: OptionKinds<PullOptions> = {
  ...{ fetch: "function", retries: "number", retryDelay: "number", idleTimeout: "number", signal: "object" },
  ...{ revision: "string", include: "array", exclude: "array", parallel: "number", onProgress: "function" },
};

/**
 * Pulls what is missing and returns the snapshot's folder. A file that a run left unfinished goes on where it ended.
 * Offline it is the snapshot of the cache, if all that is wanted lies there.
 * @throws WeightsError `NOT_FOUND`, `NO_ACCESS`, `READ_FAILED`, `HUB_ANSWER`, `CHECKSUM` (the file is removed), `OFFLINE`,
 *   `WRITE_FAILED` (what is there is kept); UsageError `BAD_OPTION`; AbortError
 */
export async function pullRepository(
  repository: string,
  env: HubEnvironment,
  options: PullOptions = {},
): Promise<string> {
  checkOptionKinds(PULL_KINDS, options, "pullRepository");
  if (!isRepositoryName(repository)) {
    throw weightsError("NOT_FOUND", "this names no repository of the Hub.", {
      ...{ where: repository, fix: "Give owner/name." },
    });
  }
  const revision = options.revision ?? "main";
  if (!isRevisionName(revision)) {
    throw weightsError("NOT_FOUND", "the revision names no branch, tag or commit.", {
      ...{ where: quoted(revision), fix: "Give one of the repository's, such as main." },
    });
  }
  if (isOffline(env)) return offlineSnapshot(repository, env, revision, options);
  const endpoint = env.HF_ENDPOINT || HUB_ENDPOINT;
  const http: HttpSourceOptions = {
    ...options,
    ...(env.HF_TOKEN ? { headers: { Authorization: `Bearer ${env.HF_TOKEN}` } } : {}),
  };
  const { commit, files: all } = await withToken(env, hubListing(repository, revision, endpoint, http));
  const useless = uselessPatterns(all, options);
  const files = choosePaths(all, options);
  if (useless.length > 0 || files.length === 0) {
    const problem =
      useless.length > 0 ? `no file fits ${useless.join(", ")}` : `none of the ${all.length} files is wanted`;
    throw weightsError("NOT_FOUND", `${problem}.`, {
      ...{ where: repository, fix: `Check the patterns; the files begin with ${exampleOf(all)}.` },
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
  await writing(folder, () => mkdir(join(folder, "blobs"), { recursive: true }));
  // Files of the same content are one blob.
  const queue = [...new Set(files.map(({ hash }) => hash))].map((hash) =>
    files.filter((file) => file.hash === hash),
  );
  const controller = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, controller.signal]) : controller.signal;
  const worker = async () => {
    for (let same = queue.shift(); same !== undefined; same = queue.shift()) {
      throwIfAborted(signal, "the download");
      const [first] = same as [HubFile, ...HubFile[]];
      const address = hubFileAddress(repository, commit, first.path, endpoint);
      const blob = join(folder, "blobs", first.hash);
      await pullBlob(address, first, blob, { ...http, signal }, (bytes) => progress(first, bytes));
      for (const one of same) {
        const path = join(snapshot, one.path);
        await writing(path, () => link(blob, path));
        progress(one, one.size);
      }
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
  if (first !== undefined) await withToken(env, Promise.reject(first));
  // A commit stands for itself.
  if (!isCommit(revision)) {
    const ref = join(folder, "refs", revision);
    await writing(ref, () => writeReference(ref, commit));
  }
  return snapshot;
}

/** The result, or an error that knows where a token is given. */
async function withToken<T>({ HF_TOKEN: token }: HubEnvironment, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isLvsaError(error) || error.code !== "NO_ACCESS") throw error;
    throw weightsError("NO_ACCESS", error.message, {
      fix: token
        ? "Check the repository's name, and whether the token of HF_TOKEN may read it: where its authors ask to agree to terms, agree on its page first."
        : "Check the repository's name; where it is private or its authors ask to agree to terms, give a token that may read it as HF_TOKEN.",
      ...(error.where === undefined ? {} : { where: error.where }),
      cause: error,
    });
  }
}

async function writeReference(path: string, commit: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.${crypto.randomUUID()}`;
  await writeFile(beside, commit);
  await rename(beside, path);
}

function exampleOf(files: readonly HubFile[]): string {
  return files
    .slice(0, 5)
    .map(({ path }) => quoted(path))
    .join(", ");
}

/** The file under its hash, from where an earlier run left it. */
async function pullBlob(
  address: string,
  file: HubFile,
  blob: string,
  options: HttpSourceOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  if ((await sizeOf(blob)) === file.size) return onBytes(file.size);
  const partial = await claimPartial(blob);
  try {
    await download(address, file, partial.path, options, onBytes);
    const hash = await hashOf(partial.path, file);
    if (hash !== file.hash) {
      await rm(partial.path, { force: true });
      throw weightsError("CHECKSUM", `the hash of the file is ${hash}, the Hub says ${file.hash}.`, {
        where: address,
        fix: "Pull it again; where that recurs, the server or a mirror changes files.",
        fault: "run",
      });
    }
    await rename(partial.path, blob);
  } finally {
    await partial.release();
  }
  onBytes(file.size);
}

/** Brings what is missing of `path`. An attempt that brought bytes is progress; those that bring none are few. */
async function download(
  address: string,
  file: HubFile,
  path: string,
  options: HttpSourceOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const found = await sizeOf(path);
  if (found === file.size) return;
  /** Bytes that are on the disk. */
  let have = found ?? 0;
  if (have > file.size) {
    await rm(path, { force: true });
    have = 0;
  }
  for (;;) {
    const before = have;
    try {
      // Compressed bytes have other positions.
      const headers = () => ({
        "Accept-Encoding": "identity",
        ...(have > 0 ? { Range: `bytes=${have}-` } : {}),
      });
      return await exchange(address, headers, options, take);
    } catch (error) {
      if ((error as { code?: string }).code !== "READ_FAILED" || have <= before) throw error;
    }
  }

  async function take({ response, parts }: Answer): Promise<void> {
    const fail = (message: string, fix = "Pull it again.") => readFailed(message, { where: address, fix });
    const { status, headers } = response;
    if (status === 416 && file.size > 0) {
      have = 0;
      throw again(fail("the server has no bytes where an earlier download ended."));
    }
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
    // A server that ignores the range sends the file from its start.
    const from = status === 206 && range ? Number(range[1]) : 0;
    if (status === 206 && from !== have)
      throw fail(`bytes from ${have} were asked for, the server sent them from ${from}.`);
    if (status === 206 && range && range[3] !== "*" && Number(range[3]) !== file.size)
      throw fail(`the server's file has ${range[3]} bytes, the Hub says ${file.size}.`);
    const out = await writing(path, () => open(path, from === 0 ? "w" : "r+"));
    have = from;
    try {
      for await (const part of status === 416 ? [] : parts()) {
        if (have + part.length > file.size) {
          have = 0;
          await out.truncate(0);
          throw fail(`the server sends more than the ${file.size} bytes of the file.`);
        }
        for (let done = 0; done < part.length; )
          done += (await writing(path, () => out.write(part, done, part.length - done, have + done)))
            .bytesWritten;
        have += part.length;
        onBytes(have);
      }
    } finally {
      await out.close();
    }
    if (have < file.size) throw again(fail(`the server ended at byte ${have} of ${file.size}.`));
  }
}

/** What the file system refuses, as an error that says what to do. */
async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (isLvsaError(cause) || typeof code !== "string") throw cause;
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    throw weightsError("WRITE_FAILED", `the cache can not be written: ${message}`, {
      where: path,
      fix: isFull
        ? "Free some space, or choose another disk with HF_HUB_CACHE; what is there is kept."
        : "Choose another folder with HF_HUB_CACHE.",
      fault: "run",
      cause,
    });
  }
}

/** SHA-256 of a large file, git's name of any other. */
async function hashOf(path: string, { isLarge, size }: HubFile): Promise<string> {
  const hash = createHash(isLarge ? "sha256" : "sha1");
  if (!isLarge) hash.update(`blob ${size}\0`);
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest("hex");
}

/** A link to the blob; where links are not allowed (Windows without its developer mode), a copy. Another pull may do the same. */
async function link(blob: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.${crypto.randomUUID()}`;
  try {
    await symlink(relative(dirname(path), blob), beside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
    await copyFile(blob, beside);
  }
  await rename(beside, path);
}
