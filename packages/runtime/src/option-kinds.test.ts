/** Options are refused when they are misspelt or of another kind, by every function here that takes some. */
import { expect, it } from "vitest";
import { countingGpu } from "./device/counting-gpu.js";
import { createDevice, wrapDevice } from "./device/create-device.js";
import { createDevice as createNodeDevice } from "./node/create-device.js";
import { pullRepository } from "./node/hub/pull.js";
import { checkOptionKinds } from "./option-kinds.js";
import { silentlyMisspelt } from "./testing/misspelt-options.js";
import { httpFolder, memoryFolder } from "./weights/folder.js";
import { openGguf } from "./weights/gguf/gguf-weights.js";
import { httpSource } from "./weights/http/http-source.js";
import { memorySource, openWeights, openWeightsFile } from "./weights/index.js";

const http = "fetch headers signal retries retryDelay longestRetryDelay idleTimeout readAhead".split(" ");
const source = () => memorySource(new Uint8Array(8), "m");
const device = "math rules unchecked profile".split(" ");

it.each([
  ["httpFolder", [...http, "files"], (options: object) => httpFolder("http://localhost/m", options)],
  ["httpSource", http, (options: object) => httpSource("http://localhost/m", options)],
  [
    "pullRepository",
    "fetch retries retryDelay idleTimeout signal revision include exclude parallel onProgress".split(" "),
    (options: object) => pullRepository("a/b", { HF_HUB_OFFLINE: "1" }, options),
  ],
  ["openWeights", ["variant", "scaledDType"], (o: object) => openWeights(memoryFolder({}), "model", o)],
  [
    "openWeightsFile",
    ["scaledDType"],
    (o: object) => openWeightsFile({ name: "m", open: async () => source() }, o),
  ],
  ["openGguf", ["scaledDType"], (o: object) => openGguf(source(), o)],
  ["wrapDevice", device, (o: object) => wrapDevice({} as GPUDevice, o)],
  ["createDevice", [...device, "device", "adapter", "gpu", "prove", "onNotice"], createDevice],
  [
    "createDevice in Node",
    "device adapter softwareAdapter experimental bounds proofFile onNotice dawnFlags".split(" "),
    createNodeDevice,
  ],
  ["countingGpu", [...device, "limits", "features", "info", "memoryBytes"], countingGpu],
] as const)("%s refuses misspelt options", async (_, names, call) => {
  expect(await silentlyMisspelt({ names, call })).toEqual([]);
});

it("takes right options, and such that are undefined", () => {
  const options = {
    files: ["a"],
    headers: {},
    retries: 0,
    signal: AbortSignal.timeout(1e6),
    readAhead: undefined,
  };
  expect(httpFolder("http://localhost/m", { ...options, fetch } as object).name).toBe("http://localhost/m");
  expect(() => countingGpu({ math: "exact", profile: false, memoryBytes: 1e9 })).not.toThrow();
});

it.each([
  [{ count: "3" }, "count: expected a number"],
  [{ count: Number.NaN }, "count: expected a number"],
  [{ list: {} }, "list: expected a list"],
  [{ word: "c" }, "word: expected a, b or c d"],
  [{ either: 1 }, "either: expected a text or an object"],
  [{ either: null }, "either: expected a text or an object"],
  [{ cuont: 1, far: 2 }, "unknown option cuont; did you mean count?; unknown option far"],
  // An inherited name is no option.
  [{ constructor: 1 }, "unknown option constructor"],
  [[], "options: expected an object"],
  [null, "options: expected an object"],
])("refuses %j", (options, message) => {
  const kinds = { count: "number", list: "array", word: ["a", "b", "c d"], either: "string|object" };
  const check = () => checkOptionKinds<object>(kinds, options as never, "this");
  expect(check).toThrow(
    expect.objectContaining({
      code: "BAD_OPTION",
      message,
      fix: "Options of this: count, list, word, either.",
    }),
  );
});

it("leaves what a larger object has besides alone, but for what is nearly an option", () => {
  const kinds = { frames: "object", overwrite: "boolean" };
  const check = (options: object) => () => checkOptionKinds<object>(kinds, options, "this", "misspelt");
  expect(check({ frames: {}, latents: {}, seed: 1n, notes: [] })).not.toThrow();
  expect(check({ frames: {}, overwrit: true })).toThrow("unknown option overwrit; did you mean overwrite?");
  expect(check({ frames: 1 })).toThrow("frames: expected an object");
});
