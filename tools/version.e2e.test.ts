/** What `pnpm release:version` leaves behind: one version everywhere, and a repository whose checks pass. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const folders = ["packages", "apps"].flatMap((parent) =>
  readdirSync(join(root, parent))
    .map((name) => join(parent, name))
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .filter((folder) => !JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")).private),
);
const node = (cwd: string, args: readonly string[]) => run(process.execPath, args, { cwd });
const manifestOf = async (place: string) =>
  JSON.parse(await readFile(join(place, "package.json"), "utf8")) as {
    name: string;
    version: string;
    bin?: Record<string, string>;
    dependencies?: Record<string, string>;
    peerDependencies?: Record<string, string>;
  };

let copy: string;
const tool = (path: string) => join(root, "node_modules", path);

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), "lvsa-version-"));
  // The tracked files without the bulk: reference data takes no part in a release.
  const { stdout } = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    maxBuffer: 1 << 26,
  });
  for (const path of stdout.trim().split("\n")) {
    if (/^fixtures\/|\.safetensors$/.test(path) || !existsSync(join(root, path))) continue;
    await mkdir(dirname(join(copy, path)), { recursive: true });
    await cp(join(root, path), join(copy, path));
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  for (const folder of folders) {
    const modules = join(root, folder, "node_modules");
    if (existsSync(modules)) symlinkSync(modules, join(copy, folder, "node_modules"), "junction");
  }
  // Whatever else waits for a release.
  const change = '---\n"@lvsa/core": minor\n---\n\nA change for this test.\n';
  await writeFile(join(copy, ".changeset/for-this-test.md"), change);
  await node(copy, ["tools/version.mjs"]);
});
afterAll(() => rm(copy, { recursive: true, force: true }));

describe("a new version", () => {
  test("is the same in every published package, as the changesets ask, and peers stay ranges of the house", async () => {
    const before = (await manifestOf(join(root, folders[0]!))).version;
    const manifests = await Promise.all(folders.map((folder) => manifestOf(join(copy, folder))));
    const versions = new Set(manifests.map(({ version }) => version));
    expect(versions.size, [...versions].join(", ")).toBe(1);
    const [version] = versions;
    expect(version).not.toBe(before);
    // Below 1.0.0 no changeset may lead to a major version by itself.
    if (before.startsWith("0.")) expect(version).toMatch(/^0\./);
    for (const { name, dependencies, peerDependencies } of manifests) {
      for (const [other, range] of Object.entries({ ...dependencies, ...peerDependencies })) {
        if (other.startsWith("@lvsa/")) expect(range, `${name} -> ${other}`).toBe("workspace:^");
      }
    }
  });

  test("passes the checks of style and manifests", async () => {
    // Biome reads the ignore file of a git repository.
    await run("git", ["init", "-q"], { cwd: copy });
    await node(copy, [tool("@biomejs/biome/bin/biome"), "check", "."]);
    await node(copy, ["tools/manifests.mjs"]);
  });

  test("is what the built packages report", async () => {
    const reported: Record<string, string> = {};
    const { version } = await manifestOf(join(copy, folders[0]!));
    const withVersion = folders.filter((folder) => existsSync(join(copy, folder, "src/version.ts")));
    expect(withVersion.length).toBeGreaterThan(5);
    for (const folder of withVersion) {
      const place = join(copy, folder);
      await node(place, [tool("tsup/dist/cli-default.js"), "--silent"]);
      // A program, or a library.
      if ((await manifestOf(place)).bin) {
        const { stdout } = await node(place, ["dist/main.js", "--version"]);
        reported[folder] = stdout.trim();
      } else {
        const module = (await import(pathToFileURL(join(place, "dist/index.js")).href)) as {
          VERSION: string;
        };
        reported[folder] = module.VERSION;
      }
    }
    expect(reported).toEqual(Object.fromEntries(withVersion.map((folder) => [folder, version])));
    expect(readFileSync(join(copy, "apps/cli/CHANGELOG.md"), "utf8")).toContain(`## ${version}`);
  });
});
