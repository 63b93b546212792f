/** The Hub's addresses: what a repository holds at a revision, and where its files lie. Nothing here touches a disk. */
import * as z from "zod";
import { isLvsaError } from "../../errors.js";
import { quoted } from "../../printable.js";
import { weightsError } from "../header.js";
import type { HttpSourceOptions } from "./exchange.js";
import { httpGet } from "./http-source.js";

export const HUB_ENDPOINT = "https://huggingface.co";

export interface HubFile {
  /** Path in the repository. */
  readonly path: string;
  readonly size: number;
  /** SHA-256 of large files, git's SHA-1 of the others: the name of the file's blob. */
  readonly hash: string;
  readonly isLarge: boolean;
}

export interface HubListing {
  /** Commit that the revision stands for. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const schema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(
    z.looseObject({
      rfilename: z.string().min(1),
      size: z.number().int().min(0),
      blobId: z.string().regex(/^[0-9a-f]{40}$/),
      lfs: z
        .looseObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().min(0) })
        .nullish(),
    }),
  ),
});

const MAX_LISTING_BYTES = 64 * 2 ** 20;

/** Whether a text can name a repository: `owner/name`. */
export function isRepositoryName(text: string): boolean {
  return (
    /^[\w.-]{1,96}\/[\w.-]{1,96}$/.test(text) && !text.includes("..") && !/(^|\/)[.-]|[.-](\/|$)/.test(text)
  );
}

/** Whether a text can name a branch, a tag or a commit: it becomes a path on the disk. */
export function isRevisionName(text: string): boolean {
  return text.length <= 256 && isPathInside(text);
}

function isPathInside(path: string): boolean {
  return (
    !/[\\:\0]/.test(path) && path.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}

export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** @throws WeightsError `NOT_FOUND`, `NO_ACCESS`, `READ_FAILED`; `HUB_ANSWER` for an answer that is none of the Hub's */
export async function hubListing(
  repository: string,
  revision: string,
  endpoint: string,
  options: HttpSourceOptions,
): Promise<HubListing> {
  const address = `${endpoint.replace(/\/+$/, "")}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const bytes = await httpGet(address, MAX_LISTING_BYTES, options).catch((cause: unknown) => {
    if (!isLvsaError(cause) || cause.code !== "NOT_FOUND") throw cause;
    throw weightsError(
      "NOT_FOUND",
      `there is no ${quoted(repository)} of the revision ${quoted(revision)}.`,
      {
        where: address,
        fix: "Check the names of the repository and of the branch, the tag or the commit.",
        cause,
      },
    );
  });
  const fail = (what: string, cause?: unknown) =>
    weightsError("HUB_ANSWER", `the listing of ${quoted(repository)} ${what}.`, {
      fault: "run",
      where: endpoint,
      fix: "Check the endpoint (HF_ENDPOINT), or try again.",
      cause,
    });
  let parsed: z.infer<typeof schema>;
  try {
    parsed = schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw fail("is not in the form of the Hub", cause);
  }
  if (isCommit(revision) && parsed.sha !== revision)
    throw fail(`is of commit ${parsed.sha}, and ${revision} was asked for`);
  const paths = new Set<string>();
  for (const { rfilename: path } of parsed.siblings) {
    if (paths.has(path)) throw fail(`names the file ${quoted(path)} twice`);
    paths.add(path);
  }
  const files = parsed.siblings.map(({ rfilename: path, size, blobId, lfs }) => {
    // Names become paths on the disk.
    if (!isPathInside(path)) throw fail(`names the file ${quoted(path)}, which is no path inside of it`);
    const parts = path.split("/");
    const file = parts.map((_, i) => parts.slice(0, i).join("/")).find((parent) => paths.has(parent));
    if (file !== undefined) throw fail(`has ${quoted(file)} as a file and as the folder of ${quoted(path)}`);
    return { path, size: lfs?.size ?? size, hash: lfs?.sha256 ?? blobId, isLarge: Boolean(lfs) };
  });
  return { commit: parsed.sha, files };
}

export function hubFileAddress(repository: string, commit: string, path: string, endpoint: string): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint.replace(/\/+$/, "")}/${repository}/resolve/${commit}/${encoded}`;
}
