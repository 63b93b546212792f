/** `*.safetensors.index.json`: which of several files ("shards") holds which tensor. */
import { onOneLine, quoted } from "../printable.js";
import type { ByteSource } from "./byte-source.js";
import type { FolderReader } from "./folder.js";
import { weightsError } from "./header.js";
import { findRepeatedKey } from "./json-keys.js";
import { readSafetensorsFile, type SafetensorsFile, weightsOf } from "./safetensors-weights.js";
import type { WeightSource } from "./weight-source.js";

/** Shards that are opened at a time. */
const AT_ONCE = 4;
const SAME_CHECKPOINT = "Download the index and all of its shards again, from one version of the checkpoint.";

/** File name by tensor name. @throws WeightsError `INDEX_MISMATCH` */
export function parseShardIndex(text: string, where: string): Map<string, string> {
  const fail = (message: string, cause?: unknown) =>
    weightsError("INDEX_MISMATCH", message, { where, fix: SAME_CHECKPOINT, cause });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw fail("the index is not JSON.", cause);
  }
  const map = (parsed as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw fail("the index has no object `weight_map`.");
  }
  const repeated = findRepeatedKey(text);
  if (repeated) throw fail(`the index names ${quoted(repeated.key)} twice.`);
  const shards = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    // Shards lie beside their index; anything else could reach files outside of the model's folder.
    if (typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file)) {
      throw fail(`the index places tensor ${quoted(name)} in ${quoted(file)}, which is no name of a shard.`);
    }
    shards.set(name, file);
  }
  if (shards.size === 0) throw fail("the `weight_map` of the index is empty.");
  return shards;
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 4).map((name) => onOneLine(name, 120));
  return names.length > shown.length
    ? `${shown.join(", ")} and ${names.length - shown.length} more`
    : shown.join(", ");
}

/**
 * The tensors that an index lists, from shards beside it. Tensors of the shards that it does not list are left out.
 * @throws WeightsError `INDEX_MISMATCH` when index and shards disagree, `NOT_FOUND` naming every missing shard
 */
export async function openShardedSafetensors(folder: FolderReader, indexPath: string): Promise<WeightSource> {
  const where = `${folder.name}/${indexPath}`;
  const shardOf = parseShardIndex(await folder.readText(indexPath), where);
  const directory = indexPath.split("/").slice(0, -1);
  const names = [...new Set(shardOf.values())].sort();
  const pathOf = (shard: string) => [...directory, shard].join("/");

  const present = await Promise.all(names.map((shard) => folder.exists(pathOf(shard))));
  const missing = names.filter((_, i) => !present[i]);
  if (missing.length > 0) {
    throw weightsError(
      "NOT_FOUND",
      `${missing.length} of ${names.length} shards are missing: ${listed(missing)}.`,
      { where, fix: "Finish the download of the checkpoint." },
    );
  }

  const opened: ByteSource[] = [];
  try {
    const files = new Map<string, SafetensorsFile>();
    const queue = [...names];
    const worker = async () => {
      for (let shard = queue.shift(); shard !== undefined; shard = queue.shift()) {
        const source = await folder.open(pathOf(shard));
        opened.push(source);
        files.set(shard, await readSafetensorsFile(source));
      }
    };
    // All of them end before the sources are closed, also when one fails.
    const results = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
    const failure = results.find((result) => result.status === "rejected");
    if (failure) throw failure.reason;

    const shardNames = new Map(names.map((shard) => [files.get(shard)!, shard]));
    for (const [name, shard] of shardOf) {
      if (files.get(shard)!.header.tensors.has(name)) continue;
      const other = names.find((candidate) => files.get(candidate)!.header.tensors.has(name));
      throw weightsError(
        "INDEX_MISMATCH",
        `the index places tensor ${quoted(name)} in ${quoted(shard)}, but it is ${other ? `in ${quoted(other)}` : "in none of the shards"}.`,
        { where, fix: SAME_CHECKPOINT },
      );
    }
    return weightsOf([...shardNames.keys()], (name, file) => shardOf.get(name) === shardNames.get(file));
  } catch (error) {
    await Promise.allSettled(opened.map((source) => source.close()));
    throw error;
  }
}
