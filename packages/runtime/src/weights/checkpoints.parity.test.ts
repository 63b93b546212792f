/** Opens the weights of every component of every reference checkpoint, sharded ones included. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodeFolder } from "../node/file-source.js";
import { referenceDirectory } from "../testing/reference.js";
import { subFolder } from "./folder.js";
import { DIFFUSERS_WEIGHTS, openWeights, TRANSFORMERS_WEIGHTS } from "./open-weights.js";

const root = referenceDirectory();
const components = await readdir(root, { recursive: true }).then(
  (names) =>
    [
      ...new Set(
        names
          .filter((name) => /\.safetensors(\.index\.json)?$/.test(name))
          .map((name) => name.split("/").slice(0, -1).join("/")),
      ),
    ].filter((name) => name.includes("checkpoint/")),
  () => [],
);
if (components.length === 0) console.warn(`no reference checkpoints in ${root}: set LVSA_REFERENCE_DIR`);

describe.skipIf(components.length === 0)(`every checkpoint of ${root}`, () => {
  it("opens by the names that diffusers and transformers use, and holds what its files hold", async () => {
    for (const path of components) {
      const folder = subFolder(nodeFolder(root), path);
      const files = await folder.list();
      const base = files.some((name) => name.startsWith(DIFFUSERS_WEIGHTS))
        ? DIFFUSERS_WEIGHTS
        : TRANSFORMERS_WEIGHTS;
      const weights = await openWeights(folder, base);
      expect(weights.names().length, path).toBeGreaterThan(0);
      const index = files.find((name) => name.endsWith(".index.json"));
      if (index) {
        const { metadata } = JSON.parse(await folder.readText(index)) as {
          metadata?: { total_size?: number };
        };
        expect(weights.totalBytes, path).toBe(metadata?.total_size);
        expect(new Set(weights.names().map((name) => weights.info(name).file)).size, path).toBeGreaterThan(1);
      }
      const name = weights.names().at(-1)!;
      expect((await weights.read(name)).length, join(path, name)).toBe(weights.info(name).byteLength);
      await weights.close();
    }
  });
});
