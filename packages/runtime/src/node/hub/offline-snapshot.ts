/** What a pull gives without a connection: a snapshot of the cache, where everything that is wanted lies in it. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { quoted } from "../../printable.js";
import { weightsError } from "../../weights/header.js";
import { cachedSnapshot, type HubEnvironment, hubCacheFolder, repositoryFolder } from "./hub-cache.js";
import { choosePaths, isWhole, type PathChoice, uselessPatterns } from "./path-patterns.js";

const NAMES_IN_MESSAGE = 8;

/**
 * The snapshot's folder. What the repository has is not known here; what its own files name is.
 * @throws WeightsError `OFFLINE` for a repository, a revision, a pattern's files or parts of the model that are not there
 */
export async function offlineSnapshot(
  repository: string,
  env: HubEnvironment,
  revision: string,
  choice: PathChoice,
): Promise<string> {
  const refuse = (problem: string) =>
    weightsError("OFFLINE", `${problem}, and HF_HUB_OFFLINE forbids asking for it.`, {
      ...{ where: repository, fix: "Unset HF_HUB_OFFLINE, or pull it where there is a connection." },
    });
  const folder = await cachedSnapshot(repository, env, revision);
  if (folder === undefined) {
    const there = await revisionsOf(repositoryFolder(hubCacheFolder(env), repository));
    if (there.length === 0) throw refuse("the repository is not in the cache");
    throw refuse(`the revision ${quoted(revision)} is not in the cache, which has ${shown(there)}`);
  }
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files: { path: string; isThere: boolean }[] = [];
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const isThere = await stat(path).then(
      (found) => found.isFile(),
      () => false,
    );
    files.push({ path: relative(folder, path).split(sep).join("/"), isThere });
  }
  // What was left out when it was pulled is not there.
  const useless = uselessPatterns(files, { include: choice.include ?? [] });
  if (useless.length > 0) throw refuse(`no file of the cache fits ${shown(useless)}`);
  const wanted = choosePaths(files, choice);
  if (wanted.length === 0) throw refuse(`none of the ${files.length} files in the cache is wanted`);
  const missing = wanted.flatMap(({ path, isThere }) => (isThere ? [] : [path]));
  const paths = new Set(files.map(({ path }) => path));
  for (const { path, isThere } of isWhole(choice) ? wanted : []) {
    if (isThere) missing.push(...(await namedBy(folder, path, paths)));
  }
  if (missing.length > 0) throw refuse(`the cache has no ${shown(missing)}`);
  return folder;
}

function shown(names: readonly string[]): string {
  const more = names.length - NAMES_IN_MESSAGE;
  return names.slice(0, NAMES_IN_MESSAGE).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

async function revisionsOf(folder: string): Promise<string[]> {
  const names = (path: string) =>
    readdir(join(folder, path), { recursive: true, withFileTypes: true }).catch(() => []);
  const references = (await names("refs")).flatMap((entry) =>
    entry.isFile() ? [relative(join(folder, "refs"), join(entry.parentPath, entry.name))] : [],
  );
  const commits = (await readdir(join(folder, "snapshots")).catch(() => [])).sort();
  return [...references.sort(), ...commits];
}

/** What a file of the model says that there is and is not: parts of a pipeline, shards of weights. */
async function namedBy(folder: string, path: string, paths: ReadonlySet<string>): Promise<string[]> {
  const isIndex = /\.safetensors\.index\.json$/.test(path);
  if (!isIndex && path !== "model_index.json") return [];
  let json: unknown;
  try {
    json = JSON.parse(await readFile(join(folder, path), "utf8"));
  } catch {
    // Whoever reads it says so.
    return [];
  }
  if (typeof json !== "object" || json === null) return [];
  if (isIndex) {
    const { weight_map: map } = json as { readonly weight_map?: unknown };
    const names = typeof map === "object" && map !== null ? Object.values(map) : [];
    const beside = path.slice(0, path.lastIndexOf("/") + 1);
    return [...new Set(names)].flatMap((name) =>
      typeof name === "string" && !paths.has(beside + name) ? [beside + name] : [],
    );
  }
  const isComponent = (value: unknown) =>
    Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === "string");
  return Object.entries(json).flatMap(([name, value]) =>
    isComponent(value) && ![...paths].some((one) => one.startsWith(`${name}/`)) ? [`${name}/`] : [],
  );
}
