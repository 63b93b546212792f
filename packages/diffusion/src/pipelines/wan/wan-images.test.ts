import { describe, expect, it } from "vitest";
import { wanTransformer } from "../../models/transformers/transformer-wan-definition.js";
import type { Settings } from "../clip-plan.js";
import type { GenerateOptions, RgbImage } from "../video-pipeline.js";
import { givenFramesMask } from "./wan-image-condition.js";
import { checkWanOptions, wanAbilities } from "./wan-options.js";

const image: RgbImage = { data: new Uint8Array(3), width: 1, height: 1 };
const imageEmbeds = { data: new Float32Array(4), shape: [1, 1, 4] };
const settings = { numFrames: 9 } as Settings;

const abilities = (config: object, index: object = {}) =>
  wanAbilities(
    { _class_name: "WanImageToVideoPipeline", ...index },
    [wanTransformer.parseConfig({ in_channels: 36, ...config })],
    16,
  );
const encoder = { image_encoder: ["transformers", "CLIPVisionModel"] };
const CHECKPOINTS = {
  clip: abilities({ image_dim: 1280 }, encoder),
  noEncoder: abilities({ image_dim: 1280 }),
  firstAndLast: abilities({ image_dim: 1280, pos_embed_seq_len: 514 }, encoder),
  a14b: abilities({}),
  ti2v: abilities({ in_channels: 16 }, { _class_name: "WanPipeline", expand_timesteps: true }),
  text: abilities({ in_channels: 16 }, { _class_name: "WanPipeline" }),
};

const refusals: [keyof typeof CHECKPOINTS, GenerateOptions, string | undefined][] = [
  ["clip", { image }, undefined],
  ["clip", {}, "IMAGE_NEEDED"],
  // Its transformer has no positions for a second image, unless somebody gives the embeddings.
  ["clip", { image, lastImage: image }, "BAD_OPTION"],
  ["clip", { image, lastImage: image, imageEmbeds }, undefined],
  ["noEncoder", { image }, "IMAGE_EMBEDS_NEEDED"],
  ["noEncoder", { image, imageEmbeds }, undefined],
  ["firstAndLast", { image }, "IMAGE_NEEDED"],
  ["firstAndLast", { image, lastImage: image }, undefined],
  ["a14b", { image }, undefined],
  ["a14b", { image, lastImage: image }, undefined],
  ["a14b", { image, imageEmbeds }, "IMAGE_UNSUPPORTED"],
  ["ti2v", {}, undefined],
  ["ti2v", { image }, undefined],
  ["ti2v", { image, lastImage: image }, "BAD_OPTION"],
  ["text", { image }, "IMAGE_UNSUPPORTED"],
];

describe("images of Wan's checkpoints", () => {
  it.each(refusals)("%s with %o: %s", (name, given, code) => {
    const check = () => checkWanOptions(given, settings, CHECKPOINTS[name]);
    if (code === undefined) expect(check).not.toThrow();
    else expect(check).toThrow(expect.objectContaining({ code }));
  });

  it("has no last frame in a video of one", () => {
    const given = { image, lastImage: image };
    const one = { numFrames: 1 } as Settings;
    expect(() => checkWanOptions(given, one, CHECKPOINTS.a14b)).toThrow("more than one frame");
  });
});

describe("givenFramesMask", () => {
  /** As diffusers makes it: a row per video frame, the first four times, folded by four into channels. */
  const expected = (latentFrames: number, cells: number, hasLast: boolean) => {
    const videoFrames = 4 * (latentFrames - 1) + 1;
    const given = Array.from({ length: videoFrames }, (_, f) =>
      f === 0 || (hasLast && f === videoFrames - 1) ? 1 : 0,
    );
    const rows = [...Array.from({ length: 4 }, () => given[0]!), ...given.slice(1)];
    return Array.from({ length: 4 * latentFrames * cells }, (_, i) => {
      const t = Math.floor(i / cells) % latentFrames;
      const channel = Math.floor(i / cells / latentFrames);
      return rows[4 * t + channel]!;
    });
  };

  it.each([
    [1, 2, false],
    [3, 6, false],
    [3, 6, true],
    [21, 1, true],
  ])("of %i latent frames with %i cells, last given: %s", (frames, cells, hasLast) => {
    expect([...givenFramesMask(frames, cells, 4, hasLast)]).toEqual(expected(frames, cells, hasLast));
  });
});
