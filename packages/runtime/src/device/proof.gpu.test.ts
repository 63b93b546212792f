/** What a driver claims is tried before it is used, and remembered. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rememberedProof } from "../node/proof-cache.js";
import { PRETEND_DEVICES, testDevice } from "../testing.js";
import { createDevice, wrapDevice } from "./create-device.js";
import { Device } from "./device.js";
import { disprove, provenCapabilities } from "./proof.js";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await testDevice();
  folder = await mkdtemp(join(tmpdir(), "lvsa-proof-"));
});
afterAll(async () => {
  device.dispose();
  await rm(folder, { recursive: true });
});

/** This adapter under the capabilities of another, as a driver that promises too much. */
function claiming(name: string): Device {
  return new Device(
    device.gpu,
    { ...device.info, ...PRETEND_DEVICES[name]!, limits: device.info.limits },
    false,
  );
}

test("f16 that works is not disproved", async () => {
  if (!device.info.f16) {
    console.warn("skipped: the adapter has no shader-f16");
    return;
  }
  const plain = wrapDevice(device.gpu);
  expect((await disprove(plain)).f16).toBeUndefined();
  plain.dispose();
});

test("what the driver can not compile is taken away, with the reason", async () => {
  const liar = claiming("nvidia");
  if (device.info.matrices.length > 0 || liar.info.limits.maxComputeWorkgroupStorageSize < 30_000) {
    console.warn("skipped: the adapter has matrices, or no memory for them");
    return;
  }
  const found = await disprove(liar);
  expect(found.matrices).toMatch(/does not compile|matrix/);
  expect(provenCapabilities(found)).toMatchObject({ matrices: [] });
  liar.dispose();
});

test("wrong numbers are found: a device that reads zeros", async () => {
  const liar = claiming("nvidia");
  liar.read = async (t) => new Float32Array(t.size);
  expect((await disprove(liar)).f16).toMatch(/a sum of products is 0 instead of -?\d+/);
  liar.dispose();
});

test("a proof is remembered for the driver, and one that can not be read is made anew", async () => {
  const path = join(folder, "cache", "proofs.json");
  const liar = claiming("nvidia");
  liar.read = async (t) => new Float32Array(t.size);
  const first = await rememberedProof(liar, path, "1");
  expect(first.f16).toBeDefined();
  const broken = () => {
    throw new Error("tried again");
  };
  liar.read = broken;
  expect(await rememberedProof(liar, path, "1")).toEqual(first);
  // Where shaders have no f16 at all, the first try's compile error comes before anything is read.
  expect((await rememberedProof(liar, path, "2")).f16).toMatch(/tried again|does not compile/);
  expect(Object.keys(JSON.parse(await readFile(path, "utf8")))).toHaveLength(2);
  await writeFile(path, "{ not json");
  expect((await rememberedProof(liar, path, "1")).f16).toBe("tried again");
  liar.dispose();
});

test("a device that does something wrong is used without it, and one line says so", async () => {
  const info = { isFallbackAdapter: false, vendor: "", architecture: "", device: "", description: "a GPU" };
  const features = new Set(["shader-f16"]);
  const gpu = {
    limits: device.gpu.limits,
    features,
    lost: new Promise(() => undefined),
    queue: {},
    createBuffer: () => ({ destroy: () => undefined }),
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    destroy: () => undefined,
  };
  const adapter = { limits: device.gpu.limits, features, info, requestDevice: async () => gpu };
  const lines: string[] = [];
  const made = await createDevice({
    adapter: adapter as unknown as GPUAdapter,
    prove: async () => ({ f16: "1 + 1 is 3" }),
    onNotice: (line) => lines.push(line),
  });
  expect(made.info).toMatchObject({ hardware: "gpu", f16: false });
  expect(lines).toEqual(["a GPU: f16 shaders are not used, 1 + 1 is 3"]);
  made.dispose();
});
