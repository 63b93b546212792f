import { describe, expect, it } from "vitest";
import { autoencoderKLCogVideoX } from "./autoencoder-kl-cogvideox-definition.js";
import { autoencoderKLHunyuanVideo15 } from "./autoencoder-kl-hunyuan-video15-definition.js";
import { autoencoderKLWan } from "./autoencoder-kl-wan-definition.js";

describe("factors of an autoencoder", () => {
  it("are what the layers make, stated or not", () => {
    const factors = (config: object) => {
      const parsed = autoencoderKLWan.parseConfig(config) as Record<string, unknown>;
      return [parsed.scale_factor_temporal, parsed.scale_factor_spatial];
    };
    // The defaults of the class are those of its default layers.
    expect(factors({})).toEqual([4, 8]);
    expect(factors({ scale_factor_temporal: 4, scale_factor_spatial: null })).toEqual([4, 8]);
    expect(factors({ patch_size: 2, in_channels: 12, out_channels: 12 })).toEqual([4, 16]);
    expect(factors({ dim_mult: [1, 2, 4], temperal_downsample: [false, true] })).toEqual([2, 4]);
  });

  it.each([
    [{ scale_factor_spatial: 16 }, "scale_factor_spatial: is 16, the layers make 8"],
    [{ scale_factor_temporal: 8 }, "scale_factor_temporal: is 8, the layers make 4"],
    [{ dim_mult: [1, 2, 4], scale_factor_spatial: 8 }, "scale_factor_spatial: is 8, the layers make 4"],
    [{ patch_size: 2 }, "in_channels: is 3, of pixels in patches of 2 there are 12"],
    [{ out_channels: 4 }, "out_channels: is 4, of pixels in patches of 1 there are 3"],
  ])("that contradict the layers are refused: %j", (config, message) => {
    expect(() => autoencoderKLWan.parseConfig(config)).toThrow(
      expect.objectContaining({ code: "BAD_CONFIG", message: expect.stringContaining(message) }),
    );
  });

  it("are powers of two", () => {
    for (const [definition, key] of [
      [autoencoderKLHunyuanVideo15, "spatial_compression_ratio"],
      [autoencoderKLHunyuanVideo15, "temporal_compression_ratio"],
      [autoencoderKLCogVideoX, "temporal_compression_ratio"],
    ] as const) {
      expect(() => definition.parseConfig({ [key]: 4 })).not.toThrow();
      expect(() => definition.parseConfig({ [key]: 12 })).toThrow(/expected a power of two/);
    }
  });
});
