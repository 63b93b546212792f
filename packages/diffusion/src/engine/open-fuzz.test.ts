/**
 * Damaged configurations, tokenizers and indexes of whole checkpoints: each of hundreds of seeded mutations opens and
 * plans a clip, or is a named error; nothing else, and soon.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { countingGpu, isLvsaError, memoryFolder } from "@lvsa/runtime";
import { readJson, referenceCases, requireCases } from "@lvsa/runtime/testing";
import { expect, test } from "vitest";
import { Engine } from "./engine.js";

const SEED = Number(process.env.LVSA_FUZZ_SEED ?? 20260611);
const MUTATIONS = Number(process.env.LVSA_FUZZ_MUTATIONS ?? 15);
/** Opening one takes less than a second; a loop over what a file claims would take for ever. */
const PATIENCE_MS = 60_000;

const checkpoints = ["wan", "hunyuan", "cogvideox", "cosmos3"].flatMap((family) =>
  referenceCases(family)
    .filter(({ name }) => name === (family === "wan" ? "wan21-t2v" : "pipeline"))
    .map(({ directory }) => {
      const { checkpoint = "checkpoint" } = readJson<{ checkpoint?: string }>(join(directory, "case.json"));
      return { name: family, directory: join(directory, checkpoint) };
    }),
);

type Files = Record<string, Uint8Array>;
function read(directory: string): Files {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    paths.map((path) => [relative(directory, path).split(sep).join("/"), new Uint8Array(readFileSync(path))]),
  );
}

type Random = (below: number) => number;
function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const ODD: readonly unknown[] = [
  ...[null, true, "", "x", "../../etc", [], {}, [[]], 0, -1, 1.5, 1e308, 2 ** 31, 1e12, "1"],
  ...["\\u0000", "a".repeat(5000), Array(200).fill(1), { type: "Sequence", normalizers: "x" }],
];

/** Puts something odd in the place of one value, or takes it out, anywhere in the document. */
function mutateJson(text: string, random: Random): string {
  const root = { value: JSON.parse(text) as unknown };
  let holder: Record<string, unknown> = root;
  let key = "value";
  for (let depth = random(6); depth > 0; depth--) {
    const inside = holder[key];
    if (typeof inside !== "object" || inside === null) break;
    const keys = Object.keys(inside);
    if (keys.length === 0) break;
    holder = inside as Record<string, unknown>;
    key = keys[random(keys.length)]!;
  }
  if (random(5) === 0 && holder !== root) delete holder[key];
  else holder[key] = ODD[random(ODD.length)];
  return JSON.stringify(root.value) ?? "";
}

function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  for (let i = 1 + random(8); i > 0 && copy.length > 0; i--) copy[random(copy.length)] = random(256);
  return random(3) === 0 ? copy.slice(0, random(copy.length + 1)) : copy;
}

function mutated(files: Files, random: Random): { files: Files; what: string } {
  const names = Object.keys(files).filter((name) => !/\.(safetensors|md)$/.test(name));
  const name = names[random(names.length)]!;
  if (random(12) === 0) {
    const { [name]: _, ...rest } = files;
    return { files: rest, what: `without ${name}` };
  }
  const isJson = name.endsWith(".json") && random(6) > 0;
  const bytes = isJson
    ? new TextEncoder().encode(mutateJson(new TextDecoder().decode(files[name]), random))
    : mutateBytes(files[name]!, random);
  return { files: { ...files, [name]: bytes }, what: name };
}

test("the reference folder holds whole checkpoints", () => {
  requireCases(checkpoints);
});

test.each(checkpoints)(`$name: ${MUTATIONS} mutations, LVSA_FUZZ_SEED=${SEED}`, async ({ directory }) => {
  const whole = read(directory);
  const random = randomOf(SEED);
  const open = async (files: Files) => {
    const { device } = countingGpu();
    using engine = await Engine.open(memoryFolder(files), { device, registered: false });
    await engine.generate({ prompt: "a cat", numInferenceSteps: 3, signal: AbortSignal.abort() });
  };
  await expect(open(whole)).rejects.toMatchObject({ code: "ABORTED" });
  const codes = new Map<string, number>();
  for (let i = 0; i < MUTATIONS; i++) {
    const { files, what } = mutated(whole, random);
    const started = performance.now();
    const error = await open(files).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    const label = `mutation ${i} of ${what}: ${(error as Error | undefined)?.stack}`;
    expect(isLvsaError(error), label).toBe(true);
    expect(performance.now() - started, label).toBeLessThan(PATIENCE_MS);
    const { code } = error as { code: string };
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  // Some change nothing that matters, some do.
  expect(codes.get("ABORTED") ?? 0).toBeGreaterThan(0);
  expect(codes.size).toBeGreaterThan(2);
});
