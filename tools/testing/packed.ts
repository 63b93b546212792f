/** Packages as users get them: packed, then installed into an empty folder by npm or pnpm. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const execute = promisify(execFile);
export const root = fileURLToPath(new URL("../..", import.meta.url));
/** Test runners set variables that installers and Node would take for their own. */
const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(npm_|NODE_|VITEST)/.test(k)));

/** Runs a program. On Windows npm and pnpm are scripts, which only a shell starts. */
export function run(
  program: string,
  args: readonly string[],
  cwd: string,
  extra: Readonly<Record<string, string>> = {},
): Promise<{ stdout: string; stderr: string }> {
  const isScript = process.platform === "win32" && program !== process.execPath;
  return execute(program, [...args], { cwd, env: { ...env, ...extra }, shell: isScript, timeout: 240_000 });
}

export type Installer = "npm" | "pnpm";

interface Manifest {
  readonly name: string;
  /** Never published: the page. */
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** Everything that is published, as folders of the repository. */
export const published: readonly string[] = ["packages", "apps"].flatMap((parent) =>
  readdirSync(join(root, parent))
    .map((name) => `${parent}/${name}`)
    .filter((folder) => existsSync(join(root, folder, "package.json")) && !manifestOf(folder).private),
);

export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8")) as Manifest;
}

/** The version of a package of others that the repository is tested with. */
function testedVersion(name: string): string {
  for (const folder of published) {
    const { dependencies, devDependencies } = manifestOf(folder);
    const range = devDependencies?.[name] ?? dependencies?.[name];
    if (range) return range;
  }
  throw new Error(`no package of ours uses ${name}`);
}

export class PackedPackages {
  readonly folder: string;
  readonly #tarballs: ReadonlyMap<string, string>;

  private constructor(folder: string, tarballs: ReadonlyMap<string, string>) {
    this.folder = folder;
    this.#tarballs = tarballs;
  }

  /** Packs all packages, which must be built. */
  static async pack(): Promise<PackedPackages> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), "lvsa-packed-")));
    const tarballs = new Map<string, string>();
    for (const source of published) {
      const out = join(folder, "tarballs", source.replace("/", "-"));
      await mkdir(out, { recursive: true });
      await run("pnpm", ["pack", "--pack-destination", out], join(root, source));
      tarballs.set(manifestOf(source).name, join(out, readdirSync(out)[0]!));
    }
    return new PackedPackages(folder, tarballs);
  }

  /** Files of one tarball, relative to the package. */
  async filesOf(name: string): Promise<string[]> {
    const { stdout } = await run("tar", ["-tzf", this.#tarballs.get(name)!], this.folder);
    return stdout.split("\n").flatMap((line) => (line ? [line.replace(/^package\//, "")] : []));
  }

  /**
   * An empty folder in which a user typed `npm i ...names`. Packages of ours come from their tarballs, also where only
   * another one needs them; nothing else is linked or put there. `others` are tarballs of packages of others, by name.
   */
  async install(
    label: string,
    names: readonly string[],
    installer: Installer = "npm",
    others: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const place = join(this.folder, label);
    await mkdir(place, { recursive: true });
    const ours = Object.fromEntries([...this.#tarballs].map(([name, path]) => [name, `file:${path}`]));
    const versions = names.map((name) => [name, ours[name] ?? testedVersion(name)]);
    const theirs = Object.entries(others).map(([name, path]) => [name, `file:${path}`]);
    const dependencies = Object.fromEntries([...versions, ...theirs]);
    const manifest = { name: "users-project", private: true, type: "module", dependencies };
    if (installer === "npm") {
      await writeFile(join(place, "package.json"), JSON.stringify({ ...manifest, overrides: ours }));
      await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts"], place);
    } else {
      await writeFile(join(place, "package.json"), JSON.stringify(manifest));
      const overrides = Object.entries(ours).map(([name, path]) => `  "${name}": "${path}"\n`);
      // What READMEs tell users of pnpm: the packages' build steps are not needed.
      const workspace = `allowBuilds:\n  webgpu: false\n  msgpackr-extract: false\noverrides:\n${overrides.join("")}`;
      await writeFile(join(place, "pnpm-workspace.yaml"), workspace);
      await run("pnpm", ["install", "--prefer-offline", "--no-frozen-lockfile"], place);
    }
    return place;
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
