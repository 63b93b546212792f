/** Checks of what an adapter states: its family, geometry, defaults, and shares of ranks. No GPU is used. */
import { LvsaError } from "@lvsa/runtime";
import { type ConformanceCheck, type ConformanceFixture, FRAMES, PATCHES } from "./conformance-fixture.js";
import { check, thrown } from "./conformance-support.js";

export function factChecks(fixture: ConformanceFixture): ConformanceCheck[] {
  const { adapter, model } = fixture;
  return [
    {
      name: "is of the model's family",
      async run() {
        check(/^[a-z][a-z0-9_-]*$/.test(adapter.family), `family is "${adapter.family}"`);
        check(adapter.family === model.family, `it is for ${adapter.family}, the model is ${model.family}`);
      },
    },
    {
      name: "counts frames, tokens and the training length as they are known",
      async run() {
        check(fixture.known.length > 0, "the fixture knows no clip of the family");
        for (const { host, numFrames, height, width, ...known } of fixture.known) {
          const stated = {
            latentFrames: adapter.latentFrames(numFrames, host),
            patchesPerFrame: adapter.patchesPerFrame(height, width, host),
            referenceLatentFrames: adapter.referenceLatentFrames(host),
          };
          for (const name of ["latentFrames", "patchesPerFrame", "referenceLatentFrames"] as const) {
            const clip = `${numFrames} frames of ${height}x${width}`;
            check(
              stated[name] === known[name],
              `${name} of ${clip}: ${stated[name]}, expected ${known[name]}`,
            );
          }
        }
      },
    },
    {
      name: "has defaults of at least one latent frame",
      async run() {
        for (const { host } of fixture.known) {
          const factor = host.temporalFactor ?? adapter.rules.temporalFactor;
          check(
            factor !== undefined,
            "neither the host nor the rules say how many video frames a latent frame is",
          );
          for (const [name, frames] of Object.entries(adapter.defaults)) {
            check(
              frames === undefined || Math.floor(frames / factor) >= 1,
              `${name} of ${frames} video frames is no latent frame: one is ${factor} video frames`,
            );
          }
        }
      },
    },
    {
      name: "shares a clip equally between ranks, or says which lengths can be",
      async run() {
        const clip = { latentFrames: FRAMES, patchesPerFrame: PATCHES };
        for (const ranks of [1, 2, 3]) {
          const share = adapter.setupContextParallel(clip, ranks);
          check(share === (FRAMES * PATCHES) / ranks, `${ranks} ranks get ${share} tokens each`);
        }
        const error = thrown(() => adapter.setupContextParallel(clip, 4));
        check(error instanceof LvsaError && /\d/.test(error.fix ?? ""), `4 ranks share 54 tokens: ${error}`);
        for (const ranks of [0, -2, 2.5]) {
          const refused = thrown(() => adapter.setupContextParallel(clip, ranks));
          check(refused instanceof LvsaError, `${ranks} ranks are taken`);
        }
      },
    },
  ];
}
