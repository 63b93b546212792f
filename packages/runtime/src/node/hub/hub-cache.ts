/**
 * The Hub's own cache on disk, as `huggingface_hub` keeps it: `models--owner--name/` with `blobs/<hash>`, `refs/<revision>`
 * and `snapshots/<commit>/<path>`, which are links to blobs. Both programs may use one folder.
 */
import { access, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { isCommit, isRepositoryName, isRevisionName } from "../../weights/http/hub.js";

/** Variables that `huggingface_hub` knows too. */
export interface HubEnvironment extends Readonly<Record<string, string | undefined>> {
  readonly HF_HUB_CACHE?: string | undefined;
  readonly HF_HOME?: string | undefined;
  readonly XDG_CACHE_HOME?: string | undefined;
  readonly HF_ENDPOINT?: string | undefined;
  readonly HF_TOKEN?: string | undefined;
  readonly HF_HUB_OFFLINE?: string | undefined;
}

export function hubCacheFolder(env: HubEnvironment): string {
  if (env.HF_HUB_CACHE) return env.HF_HUB_CACHE;
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  return join(home, "hub");
}

export function isOffline(env: HubEnvironment): boolean {
  return /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? "");
}

export function repositoryFolder(cache: string, repository: string): string {
  return join(cache, `models--${repository.replaceAll("/", "--")}`);
}

/** Folder of the snapshot of a repository in the cache; undefined where it was never pulled. */
export async function cachedSnapshot(
  repository: string,
  env: HubEnvironment,
  revision = "main",
): Promise<string | undefined> {
  if (!isRepositoryName(repository) || !isRevisionName(revision)) return undefined;
  const folder = repositoryFolder(hubCacheFolder(env), repository);
  const commit = isCommit(revision)
    ? revision
    : await readFile(join(folder, "refs", revision), "utf8").then(
        (text) => text.trim(),
        () => undefined,
      );
  if (commit === undefined || !isCommit(commit)) return undefined;
  const snapshot = join(folder, "snapshots", commit);
  return access(snapshot).then(
    () => snapshot,
    () => undefined,
  );
}
